"""Second decoders in whole runs: two ranks, resuming, both losses in the log."""

import json
import shutil

import pytest

from .test_processes import two_ranks
from .toy_run import assert_equal_weights, toy_config, train, weights

SCORE = 'mmattmask.ScorePredictingMAE'
LOSS = 'mmattmask.GuidedMAE'
REFRESH = dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=2)


def changes(host, **head) -> dict:
    """Four epochs: the first without a score, the last after a switch at 0.5."""
    changes = dict(model__type=host, train_cfg__max_epochs=4)
    if host == SCORE:
        return dict(changes, model__attention_head=head, custom_hooks=[REFRESH])
    hooks = [dict(type='mmattmask.LinearEMATeacherHook')]
    masks = dict(type='mmattmask.SoftToHardMaskGenerator', soft=(0, 0))
    scorer = dict(type='mmattmask.PredictedLoss')
    return dict(
        changes, model__scorer=scorer, model__mask_generator=masks, custom_hooks=hooks
    )


def logged(work_dir) -> list[dict]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'loss' in line]


@pytest.mark.parametrize(
    ('host', 'head'),
    [
        (SCORE, dict(variant='released', switch=0.5)),
        (SCORE, dict(variant='intended', switch=0.5)),
        (SCORE, dict(variant='shared')),
        (LOSS, {}),
    ],
)
def test_two_ranks_without_find_unused_parameters(tmp_path, data_root, host, head):
    """DDP raises in the second step if a parameter took no part in the first."""
    two_ranks(tmp_path, data_root, changes(host, **head))
    name = 'loss_attention' if host == SCORE else 'loss_prediction'
    lines = logged(tmp_path)
    assert len(lines) == 4 * 3
    assert all(line['loss'] > 0 for line in lines)
    learned = [line['epoch'] for line in lines if line[name] > 0]
    first = {'intended': 4, 'released': 2, 'shared': 2}.get(head.get('variant'), 1)
    assert learned == [epoch for epoch in range(first, 5) for _ in range(3)]


@pytest.mark.parametrize('variant', ['paper', 'released', 'intended'])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, data_root, variant):
    """Interrupted before the switch, which the resumed run then makes."""
    options = changes(SCORE, variant=variant, switch=0.5)
    options['custom_hooks'] = [REFRESH, dict(type='mmattmask.EpochSeedHook')]
    whole = train(toy_config(tmp_path / 'whole', data_root, **options))
    checkpoint = str(tmp_path / 'whole' / 'epoch_2.pth')
    banks = 'attention_bank'
    shutil.copytree(tmp_path / 'whole' / banks, tmp_path / 'resumed' / banks)
    resumed = toy_config(
        tmp_path / 'resumed', data_root, load_from=checkpoint, resume=True, **options
    )
    assert_equal_weights(weights(whole), weights(train(resumed)))
