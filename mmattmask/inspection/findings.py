"""What usually goes wrong in a config: one function per finding, and their table."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmattmask.datasets.recording import check_pipeline, record_transforms
from mmattmask.engine.schedule import Schedule
from mmattmask.inspection.plan import Plan
from mmattmask.inspection.timeline import batch_sizes
from mmattmask.inspection.tokens import patch_budget
from mmattmask.launching import AMP_WRAPPERS, DEVICES_WITHOUT_AMP, name_of
from mmattmask.models import IBOT, GuidedSimMIM
from mmattmask.models.data_preprocessor import MaskRewriter
from mmattmask.scorers.ema_teacher import teachers_of

# What transforms and datasets with a state of their own are told by hooks.
STATE_SETTERS = (
    'set_epoch',
    'set_progress',
    'set_attention',
    'set_maps',
    'update_attention',
    'update_maps',
    'update_mask',
)


class Finding(NamedTuple):
    """Something to know before the run.

    Attributes:
        sentence: What happens.
        fix: The line that changes it.
        level: ``'problem'``, or ``'note'`` for what may be meant.
    """

    sentence: str
    fix: str
    level: Literal['problem', 'note'] = 'problem'


def cannot_be_built(plan: Plan) -> Finding | None:
    """Model, pipeline or hook refuse their arguments."""
    if not plan.errors:
        return None
    return Finding('; '.join(plan.errors), 'change what the sentence names')


def lost_geometry(plan: Plan) -> Finding | None:
    """Maps of whole images cannot be cropped like the views."""
    if plan.scorer is None or not plan.scorer.reads_geometry or not plan.transforms:
        return None
    recorded = plan.hooks_of('AttentionRefreshHook') or plan.hooks_of('CheckMapsHook')
    try:
        (record_transforms if recorded else check_pipeline)(list(plan.transforms))
    except ValueError as error:
        sentence, _, fix = str(error).rpartition(': ')
        return Finding(sentence or fix, fix)
    return None


def cached_without_refresh(plan: Plan) -> Finding | None:
    """Nobody fills the bank, so masks stay random and nothing says so."""
    if plan.cached_scorer is None or plan.hooks_of('AttentionRefreshHook'):
        return None
    return Finding(
        f'{type(plan.scorer).__name__} waits for maps that no hook makes: masks stay '
        'random to the end',
        "custom_hooks=[dict(type='mmattmask.AttentionRefreshHook', begin=40, "
        'interval=40)]',
    )


def refresh_too_late(plan: Plan) -> Finding | None:
    """The first refresh is after the end of the run."""
    total, unit = plan.total
    for hook in plan.hooks_of('AttentionRefreshHook'):
        schedule = hook.schedule
        if schedule.unit == unit and schedule.begin >= total:
            return Finding(
                f'the first refresh is before {unit} {schedule.begin}, the run has '
                f'{total}: masks stay random to the end',
                f'AttentionRefreshHook: begin={max(total // 5, 1)}',
            )
    return None


def epochs_without_epochs(plan: Plan) -> Finding | None:
    """A loop of iterations has no epochs to count."""
    if plan.total[1] == 'epoch':
        return None
    for hook in plan.hooks:
        schedule = getattr(hook, 'schedule', None)
        if isinstance(schedule, Schedule) and schedule.by_epoch:
            return Finding(
                f'{type(hook).__name__} counts epochs, but an iteration-based loop has '
                'none: the run stops before its first step',
                f'{type(hook).__name__}: by_epoch=False, begin and interval in '
                'iterations',
            )
    return None


def refresh_without_cached(plan: Plan) -> Finding | None:
    """There is a refresh, and nothing to refresh."""
    hooks = plan.hooks_of('AttentionRefreshHook')
    if not hooks or plan.model is None or plan.cached_scorer is not None:
        return None
    scorer = 'no scorer' if plan.scorer is None else type(plan.scorer).__name__
    return Finding(
        f'AttentionRefreshHook needs a scorer that keeps maps, the model has {scorer}: '
        'the run stops before its first step',
        "scorer=dict(type='mmattmask.CachedAttention'), or remove the hook",
    )


def state_in_workers(plan: Plan) -> Finding | None:
    """Persistent workers never see what a hook tells the dataset."""
    loader = plan.cfg.train_dataloader
    if not loader.get('num_workers') or not loader.get('persistent_workers', True):
        return None
    for part in [plan.dataset_class, *(plan.transforms or [])]:
        setter = next((name for name in STATE_SETTERS if hasattr(part, name)), None)
        if setter is not None:
            return Finding(
                f'{setter}() of {getattr(part, "__name__", type(part).__name__)} does '
                'not reach persistent workers, which keep the copy they started with',
                'train_dataloader=dict(persistent_workers=False)',
            )
    return None


def unscaled_lr(plan: Plan) -> Finding | None:
    """The learning rate belongs to another number of images per step."""
    scaling = plan.cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    per_gpu, gpus, _ = batch_sizes(plan.cfg, plan.gpus)
    now = per_gpu * gpus
    if base is None:
        return Finding(
            'nothing says which batch size the learning rate belongs to, so '
            '--auto-scale-lr cannot scale it',
            f'auto_scale_lr=dict(base_batch_size={now})',
            'note',
        )
    if now == base or scaling.get('enable'):
        return None
    lr = (plan.cfg.optim_wrapper.get('optimizer') or {}).get('lr')
    if lr is None:
        return None
    return Finding(
        f'lr {lr:g} is for {base} images per step, before accumulation; {gpus} GPUs '
        f'with {per_gpu} make {now}',
        f'add --auto-scale-lr, or optim_wrapper.optimizer.lr={lr * now / base:g}',
    )


def misplaced_throw_ratio(plan: Plan) -> Finding | None:
    """throw_ratio belongs to the policy alone; backbone and neck follow it."""
    for path, value in _walk(plan.cfg.model.to_dict(), 'model'):
        owner = path.split('.')[-2]
        if path.endswith('.throw_ratio') and not owner.endswith('mask_generator'):
            return Finding(
                f'{path} does not reach the other parts of the model, which take the '
                'number of thrown patches from mask_generator',
                f"remove it; mask_generator=dict(type='mmattmask.AMTMaskGenerator', "
                f'throw_ratio={value})',
            )
    return None


def _walk(config: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield paths and values of nested dicts."""
    for key, value in config.items():
        yield f'{path}.{key}', value
        if isinstance(value, dict):
            yield from _walk(value, f'{path}.{key}')


def throws_what_it_needs(plan: Plan) -> Finding | None:
    """A host that has to do with every patch cannot throw any."""
    if plan.errors or not isinstance(plan.model.data_preprocessor, MaskRewriter):
        return None  # other hosts refuse when they are built
    try:
        name = type(plan.model.data_preprocessor).__name__
        plan.guidance.check_throws_nothing(name, plan.grid)
    except ValueError as error:
        sentence, _, fix = str(error).rpartition(': ')
        return Finding(sentence, fix)
    return None


def wrong_mask_count(plan: Plan) -> Finding | None:
    """CAE's neck predicts a fixed number of patches in every image."""
    needed = getattr(getattr(plan.model, 'neck', None), 'mask_token_num', None)
    if needed is None or plan.guidance is None or plan.errors:
        return None
    budget = patch_budget(plan.guidance, plan.image_size)
    if budget is not None and budget.num_masked == needed:
        return None
    masked = 'a varying number' if budget is None else budget.num_masked
    total = plan.grid[0] * plan.grid[1]
    return Finding(
        f'the neck needs {needed} masked patches in every image, the policy masks '
        f'{masked} of {total}',
        f'mask_generator: mask_ratio={needed}/{total}',
    )


def still_teacher(plan: Plan) -> Finding | None:
    """Without its hook an EMA teacher keeps its first weights, silently."""
    if plan.model is None or not teachers_of(plan.model):
        return None
    if plan.hooks_of('EMATeacherHook'):
        return None
    hooks = () if plan.scorer is None else plan.scorer.paired_hooks
    hook = next(iter(hooks), 'EMATeacherHook')
    return Finding(
        f"the teacher of {type(plan.model).__name__} never moves from the student's "
        'first weights',
        f"custom_hooks=[dict(type='mmattmask.{hook}')]",
    )


def constant_temperature(plan: Plan) -> Finding | None:
    """The teacher of iBOT needs a warm-up of its temperatures."""
    if not isinstance(plan.model, IBOT) or plan.hooks_of('TeacherTemperatureHook'):
        return None
    return Finding(
        f'the teacher begins at temperature {plan.model.teacher_temp:g} without a '
        'warm-up, with which training may collapse',
        "custom_hooks=[dict(type='mmattmask.TeacherTemperatureHook')]",
    )


def simmim_rounds_up(plan: Plan) -> Finding | None:
    """SimMIM and AMT on SimMIM round counts up, MAE rounds down."""
    policy = getattr(plan.guidance, 'mask_generator', None)
    is_simmim = isinstance(plan.model, GuidedSimMIM)
    if not is_simmim or getattr(policy, 'rounding', 'up') == 'up':
        return None
    cells = plan.grid[0] * plan.grid[1]
    down = policy.budget(cells)
    return Finding(
        f'of {cells} cells {down.num_masked} are masked and {down.num_thrown} thrown, '
        'rounded down; SimMIM rounds up',
        "mask_generator: rounding='up'",
        'note',
    )


def other_randomness_after_resume(plan: Plan) -> Finding | None:
    """MMEngine does not save random states."""
    if not plan.cfg.get('resume') or plan.hooks_of('EpochSeedHook'):
        return None
    return Finding(
        'a resumed run goes on with other random numbers than an uninterrupted one '
        'would have',
        "custom_hooks=[..., dict(type='mmattmask.EpochSeedHook')], "
        'randomness=dict(seed=0)',
        'note',
    )


def amp_without_accelerator(plan: Plan) -> Finding | None:
    """Mixed precision needs an accelerator."""
    kind = name_of(plan.cfg.optim_wrapper.get('type', 'OptimWrapper'))
    amp = map(name_of, AMP_WRAPPERS.values())
    if kind not in amp or plan.device not in DEVICES_WITHOUT_AMP:
        return None
    return Finding(
        f'{kind} needs an accelerator and this machine has {plan.device}',
        'nothing with mmattmask train, which trains in full precision here; elsewhere '
        "optim_wrapper.type='OptimWrapper'",
        'note',
    )


def missing_teacher(plan: Plan) -> Finding | None:
    """The file with a frozen teacher's weights is not there."""
    path = getattr(plan.scorer, 'checkpoint', None)
    if path is None or '://' in path or Path(path).is_file():
        return None
    return Finding(
        f"the teacher's weights {path} are not here: the run stops at its start",
        f'put the file there, or scorer=dict(checkpoint=...); looked in {Path.cwd()}',
        'note',
    )


FINDINGS: tuple[Callable[[Plan], Finding | None], ...] = (
    cannot_be_built,
    misplaced_throw_ratio,
    throws_what_it_needs,
    wrong_mask_count,
    lost_geometry,
    cached_without_refresh,
    refresh_too_late,
    epochs_without_epochs,
    refresh_without_cached,
    still_teacher,
    constant_temperature,
    unscaled_lr,
    state_in_workers,
    simmim_rounds_up,
    missing_teacher,
    other_randomness_after_resume,
    amp_without_accelerator,
)


def findings(plan: Plan) -> list[Finding]:
    """Return what is wrong or worth knowing, problems first."""
    found = [finding for check in FINDINGS if (finding := check(plan)) is not None]
    return sorted(found, key=lambda finding: finding.level == 'note')
