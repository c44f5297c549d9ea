"""The plain-text report of ``mmattmask check``."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmattmask.inspection.built_config import BuiltConfig, batch_sizes, learning_rate
from mmattmask.inspection.findings import GOAL, Finding, wanted_workers
from mmattmask.inspection.flops import computes_all_patches, cost, patch_budget
from mmattmask.masking import PatchBudget
from mmattmask.models import GuidedSimMIM
from mmattmask.scorers.cached_maps import CachedMaps

Rows = list[tuple[str, str]]


def report(built: BuiltConfig, found: Sequence[Finding]) -> str:
    """Return sections of aligned rows, then the findings."""
    sections: dict[str, Rows] = {}
    if built.model is not None:
        sections['model'] = model_rows(built)
        if built.guidance is not None and not built.errors:
            sections['patches'] = patch_rows(built)
    sections['training'] = training_rows(built)
    if schedule := schedule_rows(built):
        sections['hooks'] = schedule
    width = max(len(label) for rows in sections.values() for label, _ in rows)
    lines = [built.name]
    for title, rows in sections.items():
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
    plain = int | float | str | tuple | list
    options = ', '.join(
        f'{name}={value!r}'
        for name, value in vars(part).items()
        if isinstance(value, plain) and name[0] != '_' and name != 'training'
    )
    return f'{type(part).__name__}({options})'


def model_rows(built: BuiltConfig) -> Rows:
    """Say who is who."""
    model, guidance = built.model, built.guidance
    names = ('backbone', 'neck', 'head')
    parts = [getattr(model, name, None) for name in names]
    shown = ', '.join(type(part).__name__ for part in parts if part is not None)
    rows = [('host', f'{type(model).__name__} with {shown}')]
    if guidance is None:
        return [*rows, ('policy', "the host's own, not guided")]
    rows.append(('policy', describe(guidance.mask_generator)))
    warmup = guidance.warmup_mask_generator
    if built.cached_scorer is not None:
        keeps = warmup is None or makes_masks(built)
        text = "the pipeline's masks" if keeps else describe(warmup)
        rows.append(('until a refresh', text))
    return [*rows, ('scorer', describe(built.scorer))]


def makes_masks(built: BuiltConfig) -> bool:
    """Return whether the host begins with masks that the pipeline makes."""
    names = [type(t).__name__ for part in built.pipelines or [] for t in part]
    generates = any(name.endswith(('MaskGenerator', 'GenerateMask')) for name in names)
    return generates and isinstance(built.model, GuidedSimMIM)


def patch_rows(built: BuiltConfig) -> Rows:
    """Say who is visible, masked and thrown, and what that costs."""
    guidance = built.guidance
    assert guidance is not None  # or there are no patches to tell
    (height, width), grid = built.image_size, built.grid
    cells = f'{grid[0]} x {grid[1]} of {guidance.cell_size} px'
    rows = [('image', f'{height} x {width} px'), ('cells of the policy', cells)]
    budget = patch_budget(guidance, built.image_size)
    if budget is None:
        length = grid[0] * grid[1]
        most = guidance.mask_generator.max_masked(length)
        text = f'differs between images, at most {most} of {length}'
        return [*rows, ('masked', text)]
    rows += [
        ('visible', f'{budget.num_visible:>4} of {budget.num_patches} patches'),
        ('masked', f'{budget.num_masked:>4}'),
        ('thrown', f'{budget.num_thrown:>4}'),
    ]
    return rows + cost_rows(built.model, budget)


def cost_rows(model: Any, budget: PatchBudget) -> Rows:
    """Say how many tokens are computed, and how many FLOPs."""
    if computes_all_patches(model):
        text = '1.00 of the stock host: masks do not change what is computed'
        return [('FLOPs', text)]
    found = cost(model, budget)
    if found is None:
        return [('FLOPs', f'not estimated for {type(model.backbone).__name__}')]
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


def training_rows(built: BuiltConfig) -> Rows:
    """Say how long the run is, and what one step is."""
    per_gpu, gpus, accumulated = batch_sizes(built.cfg, built.gpus)
    total, unit = built.total
    rows = [
        ('length', f'{total} {unit}s'),
        (
            'batch',
            f'{per_gpu} x {gpus} GPUs x {accumulated} accumulated = '
            f'{per_gpu * gpus * accumulated}'
            + ('' if built.gpus else ', as many GPUs as the rate is for: --gpus'),
        ),
    ]
    if (lr := learning_rate(built.cfg)) is not None:
        rows.append(('highest learning rate', f'{lr:g}'))
    return rows + loader_rows(built)


def loader_rows(built: BuiltConfig) -> Rows:
    """Say how fast images are loaded, where they are here."""
    rate = built.loader_rate
    if rate is None:
        return []
    workers = built.cfg.train_dataloader.get('num_workers', 0)
    text = f'{workers} for each GPU: {workers * rate:.0f} images per second'
    if not workers:
        text = f'none: {rate:.0f} images per second, during which no step is made'
    return [
        ('loading', f'{rate:.0f} images per second and core of this machine'),
        ('workers', f'{text}; {GOAL} would need {wanted_workers(rate)}'),
    ]


def schedule_rows(built: BuiltConfig) -> Rows:
    """Say which hooks the run has, when maps are renewed, and how large one is."""
    total, unit = built.total
    rows: Rows = [('hook', describe(hook)) for hook in built.hooks]
    for hook in built.hooks_of('AttentionRefreshHook'):
        if hook.schedule.unit == unit:
            times = [time for time in range(total) if hook._is_due(time)]
            text = ', '.join(map(str, times)) or 'never'
            text += f', then 1/{hook.schedule.interval} each' if hook.rolling else ''
            rows.append(('refresh before', f'{unit}s {text}'))
        scorer = built.cached_scorer
        if isinstance(scorer, CachedMaps) and built.model and not built.errors:
            size = hook.input_size or built.image_size
            grid = scorer.map_grid(built.model.backbone, size)
            num_bytes = grid[0] * grid[1] * np.dtype(scorer.storage).itemsize
            text = f'{grid[0]} x {grid[1]} in {scorer.storage}, {num_bytes} bytes'
            rows.append(('map of an image', text))
    return rows
