"""Hosts x policies x sources of scores: try every cell, and write docs/matrix.md.

python -m tests.host_matrix > docs/matrix.md
"""

import logging
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.scorers import AttentionBank, BankHeader, BankWriter
from tests.tiny_hosts import HOSTS, Config, Host

POLICIES = {
    'random': dict(type='RandomMaskGenerator', mask_ratio=0.5),
    'block-wise': dict(type='BlockMaskGenerator', mask_ratio=0.5, min_patches=2),
    'AM': dict(type='AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0),
    'AMT': dict(type='AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.25),
    'AttMask High': dict(type='AttMaskGenerator', mode='high', mask_ratio=0.5),
    'AttMask Hint': dict(type='AttMaskGenerator', mode='hint', mask_ratio=0.5625),
    'AttMask Low': dict(type='AttMaskGenerator', mode='low', mask_ratio=0.5),
    'AttMask, drawn ratio': dict(
        type='AttMaskGenerator', mode='high', mask_ratio=(0.3, 0.5)
    ),
    'AttMask, some images': dict(
        type='AttMaskGenerator', mode='high', mask_ratio=0.5, mask_prob=0.5
    ),
    'GPA': dict(type='SoftToHardMaskGenerator', mask_ratio=0.5),
    'colour noise': dict(type='ColorNoiseMaskGenerator', mask_ratio=0.5),
    'uniform': dict(type='UniformMaskGenerator', balanced=True),
    'uniform, guided': dict(type='UniformMaskGenerator', show='least'),
    'MST': dict(type='AttMaskGenerator', mode='low', mask_ratio=0.75, patch_prob=0.5),
    'MILAN': dict(
        type='AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0, first='visible'
    ),
    'AdaMAE': dict(
        type='AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0, first='visible'
    ),
    'SemMAE': dict(type='PartMaskGenerator', mask_ratio=0.5),
}
UNGUIDED = ('random', 'block-wise', 'colour noise', 'uniform')
# policies with one source of their own
SOURCES = {'AdaMAE': 'learned', 'SemMAE': 'labels'}
SCORERS = {
    'self': 'its own cached CLS attention (`CachedAttention`)',
    'teacher': 'a frozen teacher, online or cached (`FrozenTeacher`)',
    'maps': 'maps of the user (`UserMaps`)',
}


def policy(name: str) -> Config:
    """Return the config of a policy."""
    config = POLICIES[name]
    return {**config, 'type': f'mmattmask.{config["type"]}'}


@cache
def folder(labels: bool = False) -> Path:
    """Return a folder with maps, or labels, of the images of a batch."""
    path = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    for index in range(2):
        values = rng.random((9, 12), dtype=np.float32)
        np.save(path / f'{index}.npy', (9 * values).astype(int) if labels else values)
    return path


def scorer(name: str, host: Host) -> Config | None:
    """Return the config of a scorer for a host."""
    if name == 'self':
        return dict(type='mmattmask.CachedAttention')
    if name == 'learned':
        return dict(type='mmattmask.LearnedSampler')
    if name == 'labels':
        return dict(type='mmattmask.LabelMaps', path=str(folder(labels=True)))
    if name == 'teacher':
        backbone = dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(
                embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=12
            ),
            img_size=host.size,
            patch_size=8,
            init_cfg=dict(type='TruncNormal', layer='Linear'),
        )
        return dict(type='mmattmask.FrozenTeacher', backbone=backbone, block=1, head=1)
    return dict(type='mmattmask.UserMaps', path=str(folder()))


def fill_bank(model: nn.Module, host: Host) -> None:
    """Do what AttentionRefreshHook does: measure whole images and keep the maps."""
    own = guidance_of(model).scorer
    own.check(model.backbone)
    images = torch.randn(2, 3, host.size, host.size)
    with torch.no_grad():
        maps = attention_maps(model.eval(), images).numpy()
    model.train()
    path = Path(tempfile.mkdtemp()) / 'bank'
    header = BankHeader(2, maps.shape[1:], own.storage, 'tiny', 'epoch 0')
    writer = BankWriter(path, header)
    writer.write(np.arange(2), maps)
    writer.finish()
    own.bank = AttentionBank(path)


def build(host: Host, policy_name: str, scorer_name: str | None) -> nn.Module:
    """Build a cell; its scores are known.

    Raises:
        ValueError: If the cell is refused.
    """
    source = None if scorer_name is None else scorer(scorer_name, host)
    model = host.build(policy(policy_name), source)
    if scorer_name == 'self':
        fill_bank(model, host)
    return model


def sources(policy_name: str) -> tuple[str | None, ...]:
    """Return where a policy's score may come from."""
    if policy_name in SOURCES:
        return (SOURCES[policy_name],)
    return (None,) if policy_name in UNGUIDED else tuple(SCORERS)


def train(host: Host, policy_name: str, scorer_name: str | None) -> list[float]:
    """Take two training steps; return their losses.

    Raises:
        ValueError: If the cell is refused, and why.
    """
    model = build(host, policy_name, scorer_name)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    wrapper = OptimWrapper(optimizer)
    steps = [model.train_step(host.batch(), wrapper) for _ in range(2)]
    return [step['loss'].item() for step in steps]


def outcomes(host: Host) -> dict[tuple[str, str | None], str]:
    """Try all cells of a host; an empty outcome means that it trains."""
    results = {}
    for policy_name in POLICIES:
        for scorer_name in sources(policy_name):
            try:
                losses = train(host, policy_name, scorer_name)
            except ValueError as error:
                results[policy_name, scorer_name] = str(error)
            else:
                assert np.isfinite(losses).all(), losses
                results[policy_name, scorer_name] = ''
    return results


def rows(results: dict[str, dict[tuple[str, str | None], str]]) -> list[str]:
    """Return the Markdown table and its footnotes."""
    notes: dict[str, int] = {}

    def cell(host: str, policy_name: str) -> str:
        reasons = {
            source: reason
            for (name, source), reason in results[host].items()
            if name == policy_name
        }
        if not any(reasons.values()):
            return '✓'
        working = [str(source) for source, reason in reasons.items() if not reason]
        refused = dict.fromkeys(reason for reason in reasons.values() if reason)
        numbers = [notes.setdefault(reason, len(notes) + 1) for reason in refused]
        return ', '.join(working + [f'[{number}]' for number in numbers])

    lines = [
        '| host | ' + ' | '.join(POLICIES) + ' |',
        '|---' * (len(POLICIES) + 1) + '|',
    ]
    for host in results:
        cells = ' | '.join(cell(host, name) for name in POLICIES)
        lines.append(f'| {host} | {cells} |')
    lines.append('')
    lines += [f'{number}. {reason}.' for reason, number in notes.items()]
    return lines


HEADER = """# What goes with what

Every cell of this table was trained for two steps or refused; a test does it again and
compares (`tests/integration/test_host_matrix.py`). The numbers in the sentences are
those of the test's small models. There are three sources of the score:

{scorers}

Random, block-wise and uniform masks and coloured noise need none; AdaMAE is a policy on
its own learned score (`LearnedSampler`), SemMAE one on labels (`LabelMaps`). What the
policies are: [policies](policies.md).

✓: it trains with all of them. Else the cell names those it trains with, and a number
says why the others are refused, in the words of the error, which comes before the first
step. iBOT needs no source: without a scorer it is its EMA teacher's attention.
"""


def document() -> str:
    """Return docs/matrix.md."""
    results = {name: outcomes(host) for name, host in HOSTS.items()}
    scorers = '\n'.join(f'* **{name}**: {text}' for name, text in SCORERS.items())
    lines = [HEADER.format(scorers=scorers), *rows(results)]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    logging.disable(logging.CRITICAL)
    sys.stdout.write(document())
