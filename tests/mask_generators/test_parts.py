"""PartMaskGenerator: counts, schedule, and what is no label."""

import pytest
import torch
from mmengine.registry import TASK_UTILS

from mmattmask.mask_generators import PartMaskGenerator, parts


@pytest.mark.parametrize(
    ('gamma', 'progress', 'mix'),
    [(2.0, 0.0, 1.0), (2.0, 0.5, 0.75), (2.0, 1.0, 0.0), (1.0, 0.25, 0.75)],
)
def test_schedule(monkeypatch, gamma, progress, mix):
    asked = []

    def spy(labels, share, mix, generator):
        asked.append((share, mix))
        return torch.arange(8).expand(labels.shape)

    monkeypatch.setattr(parts, 'shuffle_by_parts', spy)
    PartMaskGenerator(0.5, gamma)(torch.zeros(2, 8).long(), progress=progress)
    assert asked == [(0.5, mix)]


def test_the_last_epoch_masks_whole_parts():
    generator = TASK_UTILS.build(dict(type='mmattmask.PartMaskGenerator'))
    assert generator.include_current
    assert generator.by_epoch
    labels = (torch.arange(64) // 16).expand(30, -1)
    counts = generator.mask(labels, progress=1.0).view(30, 4, 16).sum(2)
    assert ((counts == 0) | (counts == 16)).all()


def test_attention_is_no_label():
    with pytest.raises(ValueError, match=r'whole numbers, got torch\.float32'):
        PartMaskGenerator()(torch.rand(2, 16))


@pytest.mark.parametrize(
    ('scorer', 'policy', 'names'),
    [
        (None, 'PartMaskGenerator', 'PartMaskGenerator with NoneType'),
        ('PatchContrast', 'PartMaskGenerator', 'with PatchContrast'),
        ('LabelMaps', 'AMTMaskGenerator', 'AMTMaskGenerator with LabelMaps'),
    ],
)
def test_labels_and_attention_are_not_mixed(
    guided_mae, tmp_path, scorer, policy, names
):
    if scorer is not None:
        scorer = dict(type=f'mmattmask.{scorer}')
        if 'Label' in scorer['type']:
            (tmp_path / 'a.npy').write_bytes(b'')
            scorer['path'] = str(tmp_path)
    with pytest.raises(ValueError, match=f'go together.*got .*{names}'):
        guided_mae(scorer=scorer, mask_generator=dict(type=f'mmattmask.{policy}'))
