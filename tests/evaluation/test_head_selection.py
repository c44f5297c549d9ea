"""Recall of annotated patches: against counting, ties, averages, and real maps."""

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS

from mmattmask.evaluation.head_selection import (
    centre_map,
    head_content,
    head_recall,
    read_maps,
    two_crops,
)
from mmattmask.masking import min_max
from mmattmask.reporting.head_recall import SelectionReport, draw_heat_maps
from mmattmask.scorers.frozen_teacher import ATTENTIONS
from mmattmask.visualization.panels import COLORMAP

ARCH = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=32)


@pytest.fixture
def teacher(tmp_path):
    """Builder of FrozenTeachers that share one random checkpoint."""
    backbone = dict(
        type='mmpretrain.VisionTransformer', arch=ARCH, img_size=(16, 24), patch_size=4
    )
    vit = MODELS.build(backbone)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')

    def build(**options):
        config = dict(type='mmattmask.FrozenTeacher', backbone=backbone)
        checkpoint = str(tmp_path / 'vit.pth')
        return MODELS.build(dict(config, checkpoint=checkpoint, **options))

    return build


@given(
    seed=st.integers(0, 10**6),
    images=st.integers(1, 4),
    patches=st.integers(2, 12),
    ratio=st.sampled_from([None, 0.5, 0.75, 1.0]),
)
def test_recall_is_that_of_counting(seed, images, patches, ratio):
    torch.manual_seed(seed)
    maps = torch.randn(images, 2, 3, patches)
    foreground = torch.rand(images, patches) < 0.4
    foreground[0, 0] = True
    recall = head_recall(maps, foreground, ratio)
    columns = torch.cat([maps, maps.sum(2, keepdim=True)], dim=2)
    hits, annotated = [], []
    for image, wanted in zip(columns, foreground, strict=True):
        wanted = set(wanted.nonzero().flatten().tolist())
        if not wanted:
            continue
        k = len(wanted) if ratio is None else int(ratio * patches)
        annotated.append(len(wanted))
        hits.append(
            [[len(wanted & set(m.topk(k).indices.tolist())) for m in b] for b in image]
        )
    hits, annotated = np.array(hits), np.array(annotated)
    macro = (hits / annotated[:, None, None]).mean(axis=0)
    micro = hits.sum(axis=0) / annotated.sum()
    np.testing.assert_allclose(recall.table('macro'), macro)
    np.testing.assert_allclose(recall.table('micro'), micro)
    block, head = recall.best('macro')
    assert recall.at(block, head, 'macro') == pytest.approx(macro.max())


def test_ties_count_by_their_share():
    maps = torch.tensor([[[[5.0, 1.0, 1.0, 1.0, 0.0, 0.0]]]])
    foreground = torch.tensor([[False, True, True, False, True, False]])
    # top 3 = patch 0 and two of the three tied ones, of which two are annotated
    assert head_recall(maps, foreground).at(0, 0) == pytest.approx((4 / 3) / 3)
    constant = head_recall(torch.zeros(1, 1, 1, 6), foreground, ratio=0.5)
    assert constant.at(0, 0) == pytest.approx(0.5) == constant.chance()
    with pytest.raises(ValueError, match='average must be one of'):
        constant.at(0, 0, 'mikro')


def test_chance_is_the_mean_of_random_rankings():
    foreground = (torch.rand(40, 30) < 0.3) | (torch.arange(30) == 0)
    maps = torch.rand(40, 20, 40, 30)
    for ratio in (None, 0.75):
        recall = head_recall(maps, foreground, ratio)
        for average in ('micro', 'macro'):
            mean = recall.table(average)[:, :-1].mean()
            assert recall.chance(average) == pytest.approx(float(mean), abs=5e-3)


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_maps_are_the_scores_of_frozen_teacher(teacher, attention):
    images = torch.randn(2, 3, 16, 24)
    scorer = teacher(block=0, attention=attention, head=0)
    scorer.init_weights()
    maps = read_maps(scorer.teacher, images, attention)
    assert maps.shape == (2, 3, 2, 24)
    assert not any(block.attn.qkv._forward_hooks for block in scorer.teacher.layers)
    for block in range(3):
        for head in (0, 1, None):
            scorer = teacher(block=block, head=head, attention=attention)
            chosen = maps[:, block].sum(1) if head is None else maps[:, block, head]
            score = scorer.measure(scorer.teacher, images)
            torch.testing.assert_close(min_max(chosen), score, rtol=1e-4, atol=1e-5)


def test_the_head_that_attends_to_the_foreground_is_chosen():
    foreground = torch.rand(8, 36) < 0.3
    foreground[:, 0], foreground[3] = True, False
    maps = torch.rand(8, 4, 3, 36)
    maps[:, 2, 1] = foreground + 0.1 * torch.rand(8, 36)
    report = SelectionReport.from_maps(maps, foreground, (6, 6))
    assert report.chosen == (2, 1)
    assert report.recalls['annotated'].at(2, 1) == 1
    assert report.num_used == 7
    assert '**100.0**' in report.text()
    assert 'best single head' not in report.text()
    maps[:, 1] = 10 * foreground[:, None] / 3 + torch.randn(8, 3, 36)
    maps[:, 1, 2] -= maps[:, 1, :2].sum(1) - 10 * foreground
    maps[:, 2, 1] = 0
    report = SelectionReport.from_maps(maps, foreground, (6, 6))
    assert report.chosen == (1, None)
    block, head = report.recalls['annotated'].best(all_heads=False)
    assert f'best single head: {report.describe(block, head)}' in report.text()


def test_centre_map_is_a_reference():
    centre = centre_map((3, 5)).flatten()
    assert int(centre.argmax()) == 7
    assert set(centre.topk(4, largest=False).indices.tolist()) == {0, 4, 10, 14}
    foreground = torch.zeros(1, 15, dtype=torch.bool)
    foreground[0, [7, 8]] = True
    report = SelectionReport.from_maps(torch.rand(1, 1, 2, 15), foreground, (3, 5))
    # 7 and then 6 or 8, which are equally near
    assert report.references()['centre']['annotated_macro'] == pytest.approx(0.75)


def test_report_files(tmp_path):
    maps, foreground = torch.rand(3, 12, 12, 16), torch.rand(3, 16) < 0.5
    report = SelectionReport.from_maps(maps, foreground, (4, 4), average='micro')
    report.write(tmp_path / 'out', dict(note='x'))
    written = sorted(path.suffix for path in (tmp_path / 'out').iterdir())
    assert written == ['.csv', '.json', '.md', '.png']
    rows = (tmp_path / 'out' / 'head_recall.csv').read_text().splitlines()
    assert len(rows) == 1 + 12 * 13
    names = ('annotated_micro', 'annotated_macro', 'ratio_micro', 'ratio_macro')
    assert rows[0].split(',') == ['block', 'head', *names]
    block, head, *values = rows[13].split(',')
    assert (block, head) == ('0', 'all')
    recall = report.recalls['ratio'].at(0, None, 'macro')
    assert float(values[3]) == pytest.approx(recall)


def test_heat_map_is_brightest_at_the_largest_recall():
    tables = torch.full((2, 6), 0.2)
    tables[1, 4] = 0.9
    picture = draw_heat_maps([tables.numpy()], ['one'], (1, 4))
    darkest, brightest = matplotlib.colormaps[COLORMAP]([0.0, 1.0], bytes=True)[:, :3]
    dark, bright = (
        (np.abs(picture - color.astype(int)) <= 2).all(axis=-1)
        for color in (darkest, brightest)
    )
    # 11 cells to 1, less their numbers and the frame
    assert 9 * bright.sum() < dark.sum() < 14 * bright.sum()
    (rows, columns), (dark_rows, dark_columns) = bright.nonzero(), dark.nonzero()
    assert rows.min() > dark_rows.mean()
    assert columns.min() > dark_columns.mean()


@pytest.mark.parametrize(
    ('maps', 'foreground', 'ratio', 'message'),
    [
        (torch.rand(2, 1, 1, 4), torch.zeros(2, 4), None, 'any of 2 images'),
        (torch.rand(2, 1, 1, 4), torch.ones(2, 4), 0.2, 'selects 0 of 4'),
        (torch.rand(2, 1, 1, 4), torch.ones(2, 4), 1.5, 'selects 6 of 4'),
        (torch.full((1, 1, 1, 4), torch.nan), torch.ones(1, 4), None, 'not finite'),
    ],
)
def test_bad_input(maps, foreground, ratio, message):
    with pytest.raises(ValueError, match=message):
        head_recall(maps, foreground, ratio)


def test_content_without_annotations():
    """A head of content, one of place, one of noise, and one that lags behind."""
    draw = torch.Generator().manual_seed(0)
    grid, number = (12, 12), 24
    spots = torch.rand(number, 2, generator=draw) * 0.5 + 0.25

    def around(spots):  # of the images' objects, at places in 0 to 1
        rows = (torch.arange(12) + 0.5) / 12
        distance = (rows - spots[:, :1])[:, :, None].square() + (rows - spots[:, 1:])[
            :, None
        ].square()
        return torch.exp(-8 * distance).flatten(1)

    place = around(torch.full((number, 2), 0.5))
    # a crop of 3/4 shows an object at another place, and the same head of place
    crops = [around(spots / 0.75), around((spots - 0.25) / 0.75)]
    maps, first, second = (
        torch.stack([x, place, torch.rand(x.shape, generator=draw)], dim=1)[:, None]
        for x in (around(spots), *crops)
    )
    content = head_content(maps, (first, second), grid)
    assert content.position_share.shape == content.agreement.shape == (1, 4)
    assert content.position_share[0, 1] == pytest.approx(1)
    assert content.agreement[0, 0] > 0.6
    assert abs(content.agreement[0, 1:3]).max() < 0.15
    assert content.best() == content.best(0) == (0, 0)
    assert 'chosen: block 0, head 0' in content.text(0)


def test_crops_overlap_where_they_say():
    columns = torch.arange(24.0).expand(1, 3, 16, 24)
    first, second = two_crops(columns)
    assert first.shape == second.shape == columns.shape
    assert (first[..., 8:, 8:].mean() - second[..., :-8, :-8].mean()).abs() < 1
