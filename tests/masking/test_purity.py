"""The masking mathematics stands alone."""

import subprocess
import sys

OPENMMLAB = ('mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg')


def test_masking_imports_nothing_of_openmmlab():
    script = (
        'import sys, torch\n'
        'from mmattmask.masking import PatchBudget, partition_patches, rank_sampled\n'
        'ranking = rank_sampled(torch.rand(2, 196))\n'
        'partition_patches(ranking, PatchBudget.from_ratios(196, 0.45, 0.40))\n'
        f'print([name for name in {OPENMMLAB} if name in sys.modules])\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == '[]'
