"""The plain-text report of ``mmattmask check``."""

from collections.abc import Sequence
from typing import Any

from mmattmask.inspection.findings import Finding
from mmattmask.inspection.plan import Plan
from mmattmask.inspection.timeline import (
    batch_sizes,
    hard_and_soft,
    learning_rates,
    milestones,
    refresh_times,
    teacher_momentum,
    temperatures,
)
from mmattmask.inspection.tokens import computes_all_patches, cost, patch_budget
from mmattmask.models import GuidedSimMIM
from mmattmask.scorers import BankHeader

Rows = list[tuple[str, str]]


def report(plan: Plan, found: Sequence[Finding]) -> str:
    """Return sections of aligned rows, then the findings."""
    sections: list[tuple[str, Rows]] = []
    if plan.model is not None:
        sections.append(('model', model_rows(plan)))
        if plan.guidance is not None and not plan.errors:
            sections.append(('patches', patch_rows(plan)))
    sections.append(('training', training_rows(plan)))
    schedule = schedule_rows(plan)
    if schedule:
        sections.append(('schedules', schedule))
    width = max(len(label) for _, rows in sections for label, _ in rows)
    lines = [plan.name]
    for title, rows in sections:
        lines += ['', title]
        lines += [f'  {label:<{width}}  {value}' for label, value in rows]
    return '\n'.join([*lines, '', *finding_lines(found)])


def finding_lines(found: Sequence[Finding]) -> list[str]:
    """Return two lines per finding, and a last line with their numbers."""
    lines = []
    for finding in found:
        lines += [f'{finding.level}: {finding.sentence}', f'    fix: {finding.fix}']
    problems = sum(finding.level == 'problem' for finding in found)
    notes = len(found) - problems
    return [*lines, f'problems: {problems}, notes: {notes}']


def describe(part: Any) -> str:
    """Return a part's class and its numbers and words, as a config writes them."""
    if part is None:
        return 'none'
    shown = {
        name: value
        for name, value in vars(part).items()
        if not name.startswith('_') and name != 'training'
    }
    plain = int | float | str | bool | tuple | list
    options = ', '.join(
        f'{name}={value!r}' for name, value in shown.items() if isinstance(value, plain)
    )
    return f'{type(part).__name__}({options})'


def model_rows(plan: Plan) -> Rows:
    """Say who is who."""
    model, guidance = plan.model, plan.guidance
    names = ('backbone', 'neck', 'head')
    parts = [getattr(model, name, None) for name in names]
    shown = ', '.join(type(part).__name__ for part in parts if part is not None)
    rows = [('host', f'{type(model).__name__} with {shown}')]
    if guidance is None:
        return [*rows, ('policy', "the host's own, not guided")]
    rows.append(('policy', describe(guidance.mask_generator)))
    warmup = guidance.warmup_mask_generator
    if plan.cached_scorer is not None:
        keeps = warmup is None or makes_masks(plan)
        text = "the pipeline's masks" if keeps else describe(warmup)
        rows.append(('until a refresh', text))
    scorer = 'none' if plan.scorer is None else describe(plan.scorer)
    return [*rows, ('scorer', scorer)]


def makes_masks(plan: Plan) -> bool:
    """Return whether the host begins with masks that the pipeline makes."""
    names = [type(transform).__name__ for transform in plan.transforms or []]
    generates = any(name.endswith(('MaskGenerator', 'GenerateMask')) for name in names)
    return generates and isinstance(plan.model, GuidedSimMIM)


def patch_rows(plan: Plan) -> Rows:
    """Say who is visible, masked and thrown, and what that costs."""
    guidance, size = plan.guidance, plan.image_size
    rows = [('image', f'{size[0]} x {size[1]} px')]
    cells = f'{plan.grid[0]} x {plan.grid[1]} of {guidance.cell_size} px'
    rows.append(('cells of the policy', cells))
    budget = patch_budget(guidance, size)
    if budget is None:
        policy = guidance.mask_generator
        length = plan.grid[0] * plan.grid[1]
        most = 0 if policy is None else policy.max_masked(length)
        return [
            *rows,
            ('masked', f'differs between images, at most {most} of {length}'),
        ]
    rows += [
        ('visible', f'{budget.num_visible:>4} of {budget.num_patches} patches'),
        ('masked', f'{budget.num_masked:>4}'),
        ('thrown', f'{budget.num_thrown:>4}'),
    ]
    for progress in (0.0, 0.5, 1.0):
        num_masked = guidance.mask_generator.budget(plan.grid[0] * plan.grid[1])
        shares = hard_and_soft(guidance.mask_generator, num_masked.num_masked, progress)
        if shares is not None:
            text = (
                f'{shares[0]:>4} by rank (hard), {shares[1]} drawn (soft), rest random'
            )
            rows.append((f'masked at {progress:.0%}', text))
    return rows + cost_rows(plan, budget)


def cost_rows(plan: Plan, budget: Any) -> Rows:
    """Say how many tokens are computed, and how many FLOPs."""
    if computes_all_patches(plan.model):
        return [
            ('FLOPs', '1.00 of the stock host: masks do not change what is computed')
        ]
    found = cost(plan.model, budget)
    if found is None:
        name = type(plan.model.backbone).__name__
        return [('FLOPs', f'not estimated for {name}')]
    rows = [('encoder tokens', f'{found.encoder_tokens:>4}')]
    if found.decoder_tokens is not None:
        rows.append(('decoder tokens', f'{found.decoder_tokens:>4}'))
    text = (
        f'{found.flops / 1e9:.2f} G forward per view, {found.relative:.2f} of the '
        "stock host's random masks"
    )
    if found.scorer_flops:
        text += f'; {found.scorer_flops / 1e9:.2f} G of it for the score'
    return [*rows, ('FLOPs', text)]


def training_rows(plan: Plan) -> Rows:
    """Say what one step is, and how the learning rate goes."""
    per_gpu, gpus, accumulated = batch_sizes(plan.cfg, plan.gpus)
    total, unit = plan.total
    rows = [
        ('length', f'{total} {unit}s'),
        (
            'batch',
            f'{per_gpu} x {gpus} GPUs x {accumulated} accumulated = '
            f'{per_gpu * gpus * accumulated}',
        ),
    ]
    optimizer = plan.cfg.optim_wrapper.get('optimizer') or {}
    if optimizer.get('lr') is None or not total:
        return rows
    times = milestones(total)
    values = learning_rates(plan.cfg, total, unit, times)
    peak = f'peak {optimizer.lr:g}'
    lrs = ', '.join(f'{lr:.3g}' for lr, _ in values)
    decays = ', '.join(f'{decay:.3g}' for _, decay in values)
    at = ', '.join(map(str, times))
    rows.append(('learning rate', f'{lrs} at {unit}s {at}; {peak}'))
    rows.append(('weight decay', f'{decays} at the same'))
    return rows


def schedule_rows(plan: Plan) -> Rows:
    """Say when maps are renewed and how teachers move."""
    total, unit = plan.total
    at = f'at {unit}s {", ".join(map(str, milestones(total)))}'
    rows: Rows = []
    for hook in plan.hooks_of('AttentionRefreshHook'):
        if hook.schedule.unit == unit:
            times = refresh_times(hook, total)
            text = ', '.join(map(str, times)) or 'never'
            text += f', then 1/{hook.schedule.interval} each' if hook.rolling else ''
            rows.append(('refresh before', f'{unit}s {text}'))
        if plan.cached_scorer is not None and not plan.errors:
            rows.append(('bank', bank_text(plan, hook)))
    for hook in plan.hooks_of('EMATeacherHook'):
        values = (teacher_momentum(hook, time, total) for time in milestones(total))
        text = ', '.join(f'{value:.3g}' for value in values)
        rows.append(('student in the EMA', f'{text} {at}'))
    for hook in plan.hooks_of('TeacherTemperatureHook'):
        pairs = [temperatures(hook, time) for time in milestones(total)]
        for label, values in zip(
            ('CLS', 'patch'), zip(*pairs, strict=True), strict=True
        ):
            text = ', '.join(f'{value:.3g}' for value in values)
            rows.append((f'{label} temperature', f'{text} {at}'))
    return rows


def bank_text(plan: Plan, hook: Any) -> str:
    """Say how large the bank of maps is."""
    scorer = plan.cached_scorer
    size = hook.input_size or plan.image_size
    grid = tuple(scorer.map_grid(plan.model.backbone, size))
    number, source = plan.num_images
    header = BankHeader(number, grid, scorer.storage, '', '')
    return (
        f'{header.num_bytes / 2**20:.1f} MiB: {number} maps of {grid[0]} x {grid[1]} '
        f'in {scorer.storage} ({source})'
    )
