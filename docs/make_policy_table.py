"""Write docs/policies.md: every mask policy, what it needs, costs and is tested by.

python docs/make_policy_table.py
"""

import copy
import dataclasses
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmattmask.inspection.built_config import build_config
from mmattmask.inspection.flops import cost, patch_budget

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'policies.md'
HEAD = """# Policies

Who is visible, masked or thrown, by every policy that the AMT, AttMask and GPA papers
compare, and the controls. Made by `python docs/make_policy_table.py`; a test holds it
up to date.

* **needs**: what the policy looks at. A *score* is any scorer's: attention of the
  model, of a teacher, or your maps. *Mask tokens*: images differ in their number of
  masked patches, so the host must encode mask tokens
  ([what goes with what](matrix.md)).
* **cost**: FLOPs of a forward pass, beside random masks at the stock ratio on the same
  host, for the config in the row. A score that is looked up costs nothing there; what
  its maps cost is in [costs](guides/costs.md). Empty: not computed (convolutions,
  windows, two networks). Measured steps are in
  [step time](../benchmarks/results/step_time.md).
* **golden**: numbers of the official code that a test reproduces
  (`tests/data/golden`).

The same policies on one picture are in [masking in one page](guides/masking_101.md).
The configs are in [configs/policies](../configs/policies/README.md) and beside them.
"""
COLUMNS = ['policy', 'source', 'needs', 'cost', 'config', 'golden', 'differs']


@dataclasses.dataclass(frozen=True)
class Row:
    """One policy.

    Attributes:
        name: Its name.
        source: Paper, as the number on arXiv, or who else.
        needs: What it looks at.
        config: A config, below configs/.
        golden: Cases of tests/data/golden.
        differs: From paper and released code, in one sentence.
    """

    name: str
    source: str
    needs: str
    config: str
    golden: tuple[str, ...] = ()
    differs: str = ''


AT_200 = 'vit-base-p16_8xb512-amp-coslr-200e_in1k.py'
SMALL = 'vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py'
SECTIONS = {
    'Without a score': [
        Row('random', 'MAE 2111.06377', 'nothing', f'amt/random_{AT_200}',
            ('mae_random',)),
        Row('random throwing', 'AMT 2211.15362', 'nothing',
            f'amt/random-throw_{AT_200}'),
        Row('cells of 32 px', 'SimMIM 2111.09886', 'nothing',
            'simmim/simmim-random_vit-base-p16_8xb256-amp-coslr-200e_in1k.py',
            ('simmim',)),
        Row('cells of 4 x 4 patches', 'Pixio 2512.15715', 'nothing',
            'policies/pixio_vit-base-p16_8xb512-amp-coslr-200e_in1k-256px.py',
            ('policies/pixio_grid',), 'only the masks'),
        Row('blocks', 'BEiT 2106.08254', 'nothing',
            f'policies/block_{AT_200}', (),
            'the last patches grow the blocks, no endless search for rectangles'),
        Row('blocks, drawn ratio', 'iBOT 2111.07832', 'nothing; mask tokens',
            'ibot/ibot_vit-small-p16_16xb64-amp-coslr-100e_in1k.py'),
        Row('coloured noise', 'ColorMAE 2407.13036', 'nothing',
            f'policies/colormae-green_{AT_200}', ('policies/colormae_masks',),
            'noise of its own for each image; sigmas are ours, as none are public'),
        Row('uniform', 'UM-MAE 2205.10063', 'nothing',
            f'policies/um-mae_{AT_200}',
            ('policies/um_mae_masks', 'policies/um_mae_vit'),
            'cells drawn independently unless `balanced=True`; no Swin, no PVT'),
    ],
    'By a score': [
        Row('AM', 'AMT 2211.15362', 'score', f'amt/am_{AT_200}', ('amt_sampling',)),
        Row('AMT', 'AMT 2211.15362', 'score', f'amt/amt_{AT_200}',
            ('amt_mae', 'amt_sampling'), '[deviations](deviations.md)'),
        Row('first drawn visible', 'MILAN 2208.06049', 'score',
            f'policies/keep_{AT_200}', (), 'own attention in place of CLIP\'s'),
        Row('AttMask High', 'AttMask 2203.12719', 'score',
            f'attmask/attmask-high_{SMALL}', ('attmask_masks',)),
        Row('AttMask Hint', 'AttMask 2203.12719', 'score',
            f'attmask/attmask-hint_{SMALL}', ('attmask_masks',),
            'on small grids one hint at least'),
        Row('AttMask Low', 'AttMask 2203.12719', 'score',
            f'attmask/attmask-low_{SMALL}', ('attmask_masks',)),
        Row('some of the least attended', 'MST 2106.05656', 'score; mask tokens',
            'policies/mst_vit-small-p16_16xb64-amp-coslr-100e_in1k.py', (),
            'share and probability are ours (not public); no image decoder'),
        Row('soft to hard', 'GPA', 'score',
            'gpa/gpa-cached_vit-base-p16_8xb512-amp-coslr-200e_in1k.py',
            ('gpa_masking',), '[deviations](deviations.md)'),
        Row('a third drawn', 'AutoMAE 2303.06583', 'score',
            f'policies/automae_{AT_200}', ('policies/automae_step',),
            'the masks, given the score; no learned generator, no discriminator'),
        Row('uniform, by the score', 'ours', 'score', f'policies/um-guided_{AT_200}'),
        Row('random, errors weighted', 'AttG-MAE 2402.15172', 'score',
            f'policies/attg-mae_{AT_200}', (),
            'weights in proportion to the score; the paper\'s are exp(map / t)'),
    ],
    'By labels, or learned': [
        Row('parts', 'SemMAE 2206.10207', 'label maps',
            f'policies/semmae_{AT_200}', ('policies/semmae_masking',),
            'second stage only (the first was never released); progress of the run in '
            'place of 800 epochs'),
        Row('easy to hard', 'HPM 2304.05919', 'a second decoder and its EMA teacher',
            'hpm/hpm_vit-base-p16_8xb512-amp-coslr-200e_in1k.py',
            ('hpm_masking', 'hpm_forward'), '[deviations](deviations.md)'),
        Row('learned sampler', 'AdaMAE 2211.09120', 'a block before the encoder',
            f'policies/adamae_{AT_200}', ('policies/adamae_step',),
            'images in place of video; drawn by Gumbel noise, so no error where few '
            'probabilities are above 0'),
    ],
    'Controls': [
        Row('AMT by the middle', 'ours', 'nothing', f'policies/amt-center_{AT_200}'),
        Row('AMT by contrast', 'ours', 'pixels', f'policies/amt-contrast_{AT_200}'),
        Row('AMT by another\'s map', 'ours', 'score',
            f'policies/amt-shuffled_{AT_200}'),
    ],
}  # fmt: skip


def table() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        lines = [COLUMNS, ['---'] * len(COLUMNS), *map(cells, rows)]
        parts += [f'## {title}\n', *map(line, lines), '']
    return '\n'.join(parts).rstrip('\n') + '\n'


def line(values: list[str]) -> str:
    """Return one line of a table."""
    return f'| {" | ".join(values)} |'


def cells(row: Row) -> list[str]:
    """Return a policy's cells."""
    path = ROOT / 'configs' / row.config
    name = path.name.split('_')[0]
    return [
        row.name,
        source(row.source),
        row.needs,
        relative_cost(path),
        f'[{name}]({os.path.relpath(path, PAGE.parent)})',
        ', '.join(f'`{case}`' for case in row.golden),
        row.differs,
    ]


def source(text: str) -> str:
    """Return a source, with a link if it has a number."""
    name, _, number = text.rpartition(' ')
    return f'[{name}](https://arxiv.org/abs/{number})' if name else text


def relative_cost(path: Path) -> str:
    """Return the FLOPs of a config's forward pass beside those of random masks."""
    cfg = Config.fromfile(str(path))
    with tempfile.TemporaryDirectory() as folder:
        if (cfg.model.get('scorer') or {}).get('type') == 'mmattmask.LabelMaps':
            cfg = copy.deepcopy(cfg)
            np.save(Path(folder) / 'any.npy', np.arange(4).reshape(2, 2))
            cfg.model.scorer.path = folder
        built = build_config(cfg, path.name)
    if built.model is None:
        raise ValueError(f'{path}: {built.errors}')
    budget = built.guidance and patch_budget(built.guidance, built.image_size)
    found = cost(built.model, budget)
    return '' if found is None else f'{found.relative:.2f}'


if __name__ == '__main__':
    logging.disable(logging.CRITICAL)
    PAGE.write_text(table())
