"""ShuffledMaps: every image has another's map, cropped like its own view."""

import numpy as np
import pytest
import torch

from mmattmask.scorers import (
    CachedAttention,
    PatchContrast,
    Scorer,
    ShuffledMaps,
    TeacherAttention,
)
from mmattmask.scorers.shuffled_maps import derangement
from tests.engine.toy_run import toy_config, train, write_images

from .test_cached_attention import bank, maps, sample  # noqa: F401
from .test_user_maps import KINDS, random_map, score_of, view, write


@pytest.mark.parametrize('number', [2, 3, 5, 1000])
def test_derangement_gives_every_map_to_one_other_image(number):
    others = derangement(number, 0)
    assert sorted(others) == list(range(number))
    assert (others != np.arange(number)).all()
    assert (others == derangement(number, 0)).all()
    assert number < 5 or (others != derangement(number, 1)).any()


def test_one_map_cannot_be_exchanged():
    with pytest.raises(ValueError, match='there is 1, 2 are needed'):
        derangement(1, 0)


def test_cached_maps_are_anothers_with_the_views_own_geometry(bank):  # noqa: F811
    own, shuffled = (
        CachedAttention(),
        ShuffledMaps(dict(type='mmattmask.CachedAttention')),
    )
    own.bank = shuffled.bank = bank
    assert (own.cached, own.storage) == (shuffled.cached, shuffled.storage)
    others = derangement(len(bank), 0)
    boxes = [(i, 2 * i, 100 - i, 30 + i) for i in range(len(bank))]

    def views(ids):
        return [
            sample(i, crop_box=box, flip=bool(k % 2), flip_direction='horizontal')
            for k, (i, box) in enumerate(zip(ids, boxes, strict=True))
        ]

    expected = score_of(own, views(others))
    score = score_of(shuffled, views(range(len(bank))))
    assert torch.equal(score, expected)
    assert not torch.equal(score, score_of(own, views(range(len(bank)))))


@pytest.mark.parametrize('kind', KINDS)
def test_users_maps_are_anothers_whatever_their_sizes(tmp_path, kind):
    names = ['n/a.b', 'n/c', 'm/c', 'd']
    sizes = [(6, 4)] * 4 if kind == 'array' else [(6, 4), (3, 3), (9, 2), (6, 5)]
    of_names = {
        n: random_map(i, s) for i, (n, s) in enumerate(zip(names, sizes, strict=True))
    }
    own = write(tmp_path, kind, of_names)
    shuffled = ShuffledMaps(own, seed=3)
    order = names if kind == 'array' else sorted(names)
    others = {n: order[o] for n, o in zip(order, derangement(4, 3), strict=True)}

    def views(chosen):
        return [
            view(
                n,
                names.index(n),
                flip='vertical' if k % 2 else None,
                box=(k, 3, 50, 40),
            )
            for k, n in enumerate(chosen)
        ]

    score = score_of(shuffled, views(names))
    torch.testing.assert_close(score, score_of(own, views([others[n] for n in names])))
    assert shuffled.reads_geometry
    assert not shuffled.cached


def test_no_score_before_the_first_refresh():
    assert score_of(ShuffledMaps(CachedAttention()), [sample()]) is None


class NoMap(Scorer):
    def forward(self, inputs, data_samples, grid, cell_size):
        return torch.ones(len(inputs), grid[0] * grid[1])


def test_what_neither_looks_maps_up_nor_measures_is_refused():
    with pytest.raises(ValueError, match=r'looks maps up or measures.*got NoMap'):
        ShuffledMaps(NoMap())


def test_scores_of_views_are_those_of_the_view_before():
    views, where = torch.randn(3, 3, 16, 24), ((2, 3), 8)
    own, shuffled = PatchContrast(), ShuffledMaps(dict(type='mmattmask.PatchContrast'))
    assert not shuffled.reads_geometry
    expected = own(views, None, *where)[[2, 0, 1]]
    assert torch.equal(shuffled(views, None, *where), expected)
    with pytest.raises(ValueError, match='batch of 1'):
        shuffled(views[:1], None, *where)


def test_places_are_removed_as_from_the_source():
    source = TeacherAttention(debias='position')
    assert ShuffledMaps(source).debias == source.debias


def test_missing_geometry_images_and_maps_are_named(bank, tmp_path):  # noqa: F811
    scorer = ShuffledMaps(CachedAttention())
    scorer.bank = bank
    with pytest.raises(ValueError, match='sample id 5 is outside the 5 maps'):
        score_of(scorer, [sample(5)])
    with pytest.raises(ValueError, match='without its geometry'):
        score_of(scorer, [sample(crop_box='absent')])
    scorer = ShuffledMaps(
        write(tmp_path, 'folder', dict(a=np.ones((2, 2)), b=np.ones((2, 2))))
    )
    with pytest.raises(ValueError, match=r'c\.png has no map'):
        score_of(scorer, [view('c')])


def test_it_trains_with_the_refresh_hook(tmp_path):
    data_root = write_images(tmp_path / 'images')
    inner = dict(type='mmattmask.CachedAttention')
    cfg = toy_config(
        tmp_path / 'run',
        data_root,
        model__scorer=dict(_delete_=True, type='mmattmask.ShuffledMaps', scorer=inner),
        custom_hooks=[dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)],
        train_cfg__max_epochs=2,
    )
    runner = train(cfg)
    scorer = runner.model.guidance.scorer
    assert len(scorer.bank) == len(runner.train_dataloader.dataset)
    assert not any('scorer' in name for name in runner.model.state_dict())
