"""What every run is held to before its first step.

MMEngine's runner alone knows model, hooks, loader and folder of a run, and asks nobody
of ours about them together; so its methods are wrapped here, once.
"""

import functools
from collections.abc import Sequence
from importlib import import_module
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.cuda import OutOfMemoryError

from mmattmask.checkpoints import whole_is_asked, whole_models
from mmattmask.config_values import DECAYING, check_values
from mmattmask.files import whole_file
from mmattmask.recorded_config import recorded_grid
from mmattmask.resuming import (
    begin_epoch_again,
    changed_settings,
    check_goes_on,
    latest_checkpoint,
    report_old_schedule,
    schedule_ends,
)
from mmattmask.run_data import (
    check_classes,
    check_length,
    lost_categories,
    renew_worker_seeds,
)
from mmattmask.run_folder import only_run_in, remove_outdated, remove_torn
from mmattmask.run_warnings import (
    backbone_of,
    kinds_of,
    may_collapse,
    other_batch,
    other_length,
    partly_frozen,
    unread_blocks,
)

# Each of them acts on its own, so two would move a teacher or renew maps twice.
SINGLE_HOOKS = (
    'AttentionRefreshHook',
    'EMATeacherHook',
    'FreezeLastLayerHook',
    'TeacherTemperatureHook',
)
_EXAMPLE = "activation_checkpointing=['backbone.layers.0', …]"


def guard_runs() -> None:
    """Wrap MMEngine's runner and checkpoint hook; again changes nothing.

    A run takes its folder for itself, is refused if it cannot become what its config
    says, resumes from its own folder, and removes a checkpoint when the next, which
    appears whole or not at all, is there. A test needs weights for the whole model.
    """
    module: Any = import_module('mmengine.runner.runner')
    runner, hook = module.Runner, import_module('mmengine.hooks').CheckpointHook
    if runner.train.__module__ == __name__:
        return
    train, resume, load = runner.train, runner.resume, runner.load_checkpoint
    turn_on_checkpointing = module.turn_on_activation_checkpointing
    save, save_checkpoint = hook._save_checkpoint_with_step, module.save_checkpoint

    def guarded(from_cfg: Any) -> Any:
        def guarded_from_cfg(cls: Any, cfg: Any) -> Any:
            """Build a runner; see ``mmattmask.run_guard``."""
            check_values(cfg)
            return from_cfg(cls, cfg)

        return guarded_from_cfg

    def guarded_train(self: Any) -> Any:
        """Launch training; see ``mmattmask.run_guard``."""
        with only_run_in(self.work_dir):
            remove_torn(self.work_dir)
            spread_randomness(self)
            loop = build_loop(self)
            check_hooks(self)
            check_host(self.model)
            check_colours(self.model, self.cfg)
            check_layer_decay(self.cfg, self.model)
            check_length(loop, loop.dataloader, self.world_size, self.model)
            renew_worker_seeds(loop.dataloader)
            training = loop.dataloader.dataset
            if self._val_loop is not None:
                tested = self.val_loop.dataloader.dataset
                check_classes(train_dataloader=training, val_dataloader=tested)
            texts = [other_length(self.cfg, loop.dataloader)]
            texts += [other_batch(self.cfg, self.world_size)]
            texts += [partly_frozen(self.model), unread_blocks(self.model)]
            texts += [may_collapse(self.model, self.hooks), lost_categories(training)]
            for text in filter(None, texts):
                self.logger.warning(text)
            start = self.iter
            try:
                return train(self)
            except (RuntimeError, AssertionError, IndexError) as error:
                if self.iter > start or isinstance(error, OutOfMemoryError):
                    raise
                raise ValueError(failed_step(self.model, loop, error)) from error

    def guarded_resume(self: Any, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume; see ``mmattmask.run_guard``."""
        wanted, settings = schedule_ends(self), self.message_hub.get_info('cfg')
        try:
            resume(self, filename, *args, **kwargs)
        except KeyError as error:
            if error.args != ('meta',):
                raise
            raise ValueError(
                f'{filename} holds weights and no run to go on with: set resume=False '
                'to start from them'
            ) from error
        changed = changed_settings(self.message_hub.get_info('cfg'), settings)
        self.message_hub.update_info('cfg', settings)  # what the next one compares with
        begin_epoch_again(self)
        check_goes_on(self, filename, changed)
        spread_randomness(self)  # MMEngine has taken the seed of the checkpoint
        report_old_schedule(self, wanted, schedule_ends(self))

    def guarded_load(self: Any, filename: str, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint; see ``mmattmask.run_guard``."""
        checkpoint = load(self, filename, *args, **kwargs)
        check_positions(checkpoint, self.model)
        loop = self._test_loop
        if whole_is_asked() and hasattr(loop, 'dataloader'):
            trained = checkpoint.get('meta', {}).get('dataset_meta') or {}
            tested = loop.dataloader.dataset
            check_classes(**{filename: trained, 'test_dataloader': tested})
        return checkpoint

    def loading_whole(evaluate: Any) -> Any:
        @functools.wraps(evaluate)
        def evaluate_whole(self: Any) -> Any:
            with whole_models():
                return evaluate(self)

        return evaluate_whole

    def checkpointing(model: Any, names: Any) -> None:
        watch_checkpointed(model, names)
        turn_on_checkpointing(model, names)

    def save_whole(checkpoint: Any, filename: str, *args: Any, **kwargs: Any) -> None:
        if '://' in filename or any([*args, *kwargs.values()]):  # not a local file
            save_checkpoint(checkpoint, filename, *args, **kwargs)
            return
        with whole_file(filename) as temporary:
            save_checkpoint(checkpoint, str(temporary))

    def guarded_save(self: Any, runner: Any, step: int, meta: Any) -> None:
        ids: Any = getattr(self, 'keep_ckpt_ids', ())
        for each in runner.hooks:  # or the last good checkpoint goes for a bad one
            getattr(each, 'before_saving', lambda runner: None)(runner)
        full = 0 < self.max_keep_ckpts == len(ids) and ids[-1] != step
        outdated = ids.popleft() if full else None  # or it is removed first
        save(self, runner, step, meta)
        if outdated is not None:
            remove_outdated(self, outdated)

    for kind in (runner, import_module('mmengine.runner').FlexibleRunner):
        kind.from_cfg = classmethod(guarded(kind.from_cfg.__func__))
    runner.train = guarded_train
    runner.resume = guarded_resume
    runner.load_checkpoint = guarded_load
    runner.test, runner.val = loading_whole(runner.test), loading_whole(runner.val)
    hook._save_checkpoint_with_step = guarded_save
    module.save_checkpoint = save_whole
    module.turn_on_activation_checkpointing = checkpointing
    module.find_latest_checkpoint = latest_checkpoint


def check_hooks(runner: Any) -> None:
    """Raise ValueError if a part of the model lacks the hook it cannot do without.

    Parts name such hooks in ``paired_hooks``, of which one must be there: a scorer that
    waits for maps, a teacher that has to be moved. Two of one kind are refused, too.
    """
    present = kinds_of(runner.hooks)
    for name in SINGLE_HOOKS:
        if present[name] > 1:
            raise ValueError(
                f'{present[name]} hooks of this run are {name}s, and each of them '
                'acts: replace the one of the base instead of adding another, '
                "custom_hooks=[…, {**_base_.custom_hooks[0], 'momentum': 0.01}]"
            )
    for name, module in runner.model.named_modules():
        needed = getattr(module, 'paired_hooks', ())
        if needed and not any(present[hook] for hook in needed):
            raise ValueError(
                f'{type(module).__name__} ({name}) does nothing without '
                f'{" or ".join(needed)}, and this run has '
                f'{", ".join(type(hook).__name__ for hook in runner.hooks)}: inherit '
                'hooks, custom_hooks=[*_base_.custom_hooks, …], for a list in a config '
                "replaces that of its base, or add dict(type='mmattmask."
                f"{needed[0]}')"
            )


def check_positions(checkpoint: Any, model: Any) -> None:
    """Raise ValueError if positions of a long grid were loaded as those of a square.

    MMPretrain takes 9 x 16 for 12 x 12, of as many patches; the config in the file says
    which it is.
    """
    own = getattr(getattr(model, 'module', model), 'backbone', None)
    rows = checkpoint.get('state_dict', {}).get('backbone.pos_embed')
    grid = None if rows is None else recorded_grid(checkpoint, {'pos_embed': rows})
    wanted = tuple(getattr(own, 'patch_resolution', None) or ())
    if grid is None or not wanted or wanted == grid:
        return
    if grid[0] != grid[1] and isqrt(grid[0] * grid[1]) ** 2 == grid[0] * grid[1]:
        raise ValueError(
            f'the checkpoint has positions of {grid[0]} x {grid[1]} patches, which are '
            f'taken for those of a square on the way to {wanted[0]} x {wanted[1]}: use '
            "model.backbone.init_cfg=dict(type='Pretrained', _scope_='mmattmask', "
            'checkpoint=FILE) instead of load_from'
        )


def check_host(model: Any) -> None:
    """Let parts raise ValueError who cannot work in the complete model."""
    model = getattr(model, 'module', model)
    for part in model.modules():
        getattr(part, 'check_host', lambda model: None)(model)


def check_layer_decay(cfg: Any, model: Any) -> None:
    """Raise ValueError if the layer decay is that of a ViT of another depth."""
    wrapper = cfg.get('optim_wrapper') or {}
    kind = str(wrapper.get('constructor')).rpartition('.')[2]
    number = (wrapper.get('paramwise_cfg') or {}).get('num_layers')
    _, depth = backbone_of(model)
    if 'Decay' not in kind or kind in DECAYING or not number or not depth:
        return
    if number != depth:
        raise ValueError(
            f'{kind} makes the learning rates of {number} layers, and the backbone has '
            f'{depth} blocks: set optim_wrapper.paramwise_cfg.num_layers={depth}'
        )


def spread_randomness(runner: Any) -> None:
    """Let each process draw masks of its own, as loader processes of stock hosts do.

    MMEngine seeds all processes alike unless ``randomness`` has ``diff_rank_seed``.
    The first one's random numbers, and who sees which image, stay as they are.
    """
    draws = any(getattr(part, 'draws_masks', False) for part in runner.model.modules())
    if runner.world_size < 2 or not draws:
        return
    if 'diff_rank_seed' not in runner._randomness_cfg:
        runner.logger.info('each process draws masks of its own, by seed and rank')
        if runner.rank:
            import_module('mmengine.runner').set_random_seed(runner.seed + runner.rank)


def check_colours(model: Any, cfg: Any) -> None:
    """Raise ValueError if a teacher with pixels of its own would see blue for red."""
    from mmattmask.dataset_configs import colours_of

    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    loaded = colours_of(dataset) if dataset else None
    for name, module in model.named_modules():
        wanted = getattr(module, 'loaded_are', None)
        if loaded and wanted and loaded != wanted:
            raise ValueError(
                f'{type(module).__name__} ({name}) has pixels of its own and would see '
                f'red and blue exchanged: the training images are {loaded}, views of '
                f'data_preprocessor are {module.views_are} where they are {wanted}: '
                f'set to_rgb={loaded == "bgr"} of data_preprocessor, and '
                "channel_order='rgb' of the scorer"
            )


def watch_checkpointed(model: Any, names: str | Sequence[str]) -> None:
    """Let a step raise ValueError if a part that is checkpointed would not learn.

    MMEngine's checkpointing is reentrant: where no input has a gradient, as of parts
    that take the images, weights keep their first values, without a word; and a list of
    blocks, which nobody calls, saves nothing.

    Raises:
        ValueError: If a part is not there or is such a list.
    """
    parts = dict(model.named_modules(remove_duplicate=False))
    for name in [names] if isinstance(names, str) else names:
        part = parts.get(name)
        if part is None or type(part).forward is nn.Module.forward:
            what = 'is not there' if part is None else f'is a {type(part).__name__}'
            raise ValueError(
                f'{name} in activation_checkpointing {what}: name modules with a '
                f'forward of their own ({_EXAMPLE})'
            )
        part.register_forward_pre_hook(functools.partial(_check_learns, name))


def _check_learns(name: str, part: Any, inputs: tuple[Any, ...]) -> None:
    if not (part.training and torch.is_grad_enabled()):
        return
    if any(isinstance(value, Tensor) and value.requires_grad for value in inputs):
        return
    if any(parameter.requires_grad for parameter in part.parameters()):
        raise ValueError(
            f'{name} in activation_checkpointing gets no gradient, for its inputs have '
            f'none: name the blocks behind the first layer instead ({_EXAMPLE})'
        )


def build_loop(runner: Any) -> Any:
    """Build the loop of training and its loader; refuse a stream, without a length."""
    try:
        runner._train_loop = runner.build_train_loop(runner._train_loop)
    except TypeError as error:
        if 'has no len()' not in str(error):
            raise
        raise ValueError(
            f'train_dataloader.dataset must know its length and give its images by '
            f'index, as datasets of mmengine.dataset.BaseDataset: {error}'
        ) from error
    return runner._train_loop


def failed_step(model: Any, loop: Any, error: Exception) -> str:
    """Return what a first step raised, beside the sizes it was made with."""
    model = getattr(model, 'module', model)
    try:
        inputs = loop.dataloader.dataset[0]['inputs']
        views = inputs if isinstance(inputs, list | tuple) else [inputs]
        shapes = ', '.join(str(tuple(view.shape)) for view in views)
    except Exception:  # what the step died of, perhaps
        shapes = 'not known'
    sizes = {
        name: getattr(model.backbone, name)
        for name in ('img_size', 'patch_size', 'in_channels')
        if hasattr(getattr(model, 'backbone', None), name)
    }
    return (
        f'{type(model).__name__} failed before the end of its first step: {error}. '
        'Its views are '
        f'{shapes} (C, H, W), {loop.dataloader.batch_size} per batch; the backbone has '
        f'{sizes}: do crop, img_size, patch_size, channels and batch_size fit together?'
    )
