"""``mmattmask visualize`` as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from PIL import Image

from mmattmask.visualization import Membership, image_folder
from mmattmask.visualization.loading import load_model
from mmattmask.visualization.strips import add_drawing
from tests.command_line import mmattmask

from ..engine.toy_run import write_images
from ..visualization.pictures import colors, flat, record_of
from .conftest import write_config, write_weights

MAE = dict(
    img_size=(32, 16),
    patch_size=4,
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
    head__type='mmattmask.GuidedMAEHead',
)
PAGES = ['cls_blocks', 'cls_heads', 'overview', 'policies', 'received_blocks']


@pytest.fixture
def files(mae_files):
    """A config of 8 x 4 patches, two checkpoints of it, and a folder of images."""
    model = mae_files(**MAE)
    for name in ('first.pth', 'second.pth'):
        write_weights(model, name)
    write_images('images', count=3)
    return model


def visualize(*arguments):
    return mmattmask('visualize', *arguments)


def read(path):
    return np.asarray(Image.open(path))


def test_pages_and_panels(files):
    text = visualize('mae.py', 'first.pth', 'images', '--out', 'out')
    assert 'matched 50/50 weights of first.pth' in text
    assert 'reconstruction: patch statistics from the image' in text
    assert '3 images in out' in text
    assert sorted(path.name for path in Path('out').iterdir()) == [
        '000',
        '001',
        '002',
        'contact_sheet.png',
    ]
    assert sorted(path.stem for path in Path('out/001').glob('*.png')) == PAGES
    panels = {path.stem: read(path) for path in Path('out/001/panels').iterdir()}
    assert len(panels) == 5 + 3 + 10  # main ones, heads and their mean, policies
    (height, width, _) = panels['image'].shape
    assert height == pytest.approx(2 * width, abs=1)
    assert {panel.shape for panel in panels.values()} == {(height, width, 3)}
    # 8 x 4 patches at 0.45 and 0.40: 14 masked, 13 thrown, 5 visible
    sets = flat(panels['partition'], (8, 4))
    assert np.bincount(sets.ravel()).tolist() == [5, 14, 13]
    visible = sets == Membership.VISIBLE
    image, rebuilt = (
        colors(panels[name], (8, 4)) for name in ('image', 'reconstruction')
    )
    assert np.array_equal(image[visible], rebuilt[visible])  # pasted, not predicted


def test_same_command_same_pictures_and_the_seed_matters(files):
    arguments = ['mae.py', 'first.pth', 'images/class_0/000.png']
    sheets = []
    for seed in ('0', '0', '1'):
        visualize(*arguments, '--seed', seed, '--out', 'out')
        sheets.append(read('out/contact_sheet.png'))
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


def test_several_checkpoints_make_a_gif(files):
    text = visualize('mae.py', 'first.pth', 'second.pth', 'images', '--out', 'out')
    assert '2 checkpoints in out/checkpoints.gif' in text
    with Image.open('out/checkpoints.gif') as gif:
        assert gif.n_frames == 2
    assert Path('out/contact_sheet.png').exists()


def test_a_backbone_alone_has_no_policy_of_its_own(files):
    state = {f'backbone.{k}': v for k, v in files.backbone.state_dict().items()}
    torch.save(dict(state_dict=state), 'backbone.pth')
    text = visualize('mae.py', 'backbone.pth', 'images', '--max-images', '1')
    assert 'weights of backbone.pth' in text
    folder = Path('work_dirs/visualize/000')
    assert sorted(path.stem for path in folder.glob('*.png')) == PAGES
    names = {path.stem for path in (folder / 'panels').iterdir()}
    assert not names & {'partition', 'reconstruction'}
    assert 'policy_attmask_high' in names


def test_official_weights_by_name_with_photographs(files):
    pytest.importorskip('skimage')
    config = dict(type='VisionTransformer', arch='deit-tiny', patch_size=8, img_size=16)
    vit = MODELS.build(config)
    torch.save(dict(teacher=vit.state_dict()), 'dino.pth')
    options = ['--size', '16', '--photographs', '--max-images', '2', '--out', 'out']
    text = visualize('vit-tiny-p8', 'dino.pth', *options, '--mask-ratio', '0.5')
    assert 'matched 150/150 weights of dino.pth' in text
    assert len(list(Path('out').glob('*/policies.png'))) == 2


def test_a_teacher_is_looked_at_where_there_is_one(mae_files):
    changes = dict(mask_generator=dict(type='mmattmask.AMTMaskGenerator'))
    host = mae_files(type='mmattmask.LUT', hid_channels=16, **changes)
    for key, network in (
        (None, host.backbone),
        ('student', host.backbone),
        ('teacher', host.teacher['backbone']),
    ):
        loaded = load_model('mae.py', 'mae.pth', key)
        assert torch.equal(loaded.vit.cls_token, network.cls_token)
        assert loaded.weights.endswith('(teacher)') == (key == 'teacher')
    assert not torch.equal(host.backbone.cls_token, network.cls_token)
    with pytest.raises(ValueError, match=r"no 'x' but \['student', 'teacher'\]"):
        load_model('mae.py', 'mae.pth', 'x')


def test_strips_of_a_run(files):
    for epoch in range(3):
        add_drawing('run', [record_of(seed=epoch)], epoch, 'epoch')
    assert '3 drawings in out/strips.gif' in visualize(
        '--strips', 'run', '--out', 'out'
    )
    with Image.open('out/strips.gif') as gif:
        assert gif.n_frames == 3


def test_a_model_of_grey_images(files):
    grey = dict(
        backbone__patch_cfg=dict(in_channels=1), neck__in_chans=1, head__in_channels=1
    )
    write_config('grey.py', dict(mean=[120], std=[60]), **MAE, **grey)
    visualize('grey.py', 'images', '--out', 'out', '--max-images', '1')
    for name in ('image', 'reconstruction'):
        picture = read(f'out/000/panels/{name}.png')
        middle = picture[picture.shape[0] // 16 :: picture.shape[0] // 8]
        assert np.ptp(middle) > 20
    assert (np.ptp(read('out/000/panels/image.png'), axis=2) == 0).all()


def test_squashing_keeps_what_cropping_leaves_out(files):
    wide = np.zeros((16, 64, 3), np.uint8)
    wide[:, :16] = 255
    Image.fromarray(wide).save('wide.png')
    for flags, bright in ((['--squash'], True), ([], False)):
        visualize('mae.py', 'first.pth', 'wide.png', '--out', 'out', *flags)
        assert (read('out/wide/panels/image.png') > 200).any() == bright


@pytest.mark.parametrize('flags', [[], ['--squash']])
@pytest.mark.parametrize('size', [(16, 128), (128, 16), (24, 30)])
def test_maps_of_files_are_cropped_as_the_pixels(mae_files, monkeypatch, size, flags):
    rows, columns = np.mgrid[: size[0], : size[1]]
    content = ((rows + columns) * 200 / sum(size)).astype(np.uint8)
    Path('maps').mkdir()
    np.save('maps/a.npy', content)
    Image.fromarray(content).save('a.png')
    mae_files(**MAE | dict(scorer=dict(type='mmattmask.UserMaps', path='maps')))
    outputs = []

    def run_model(*args, **options):
        outputs.append(original(*args, **options))
        return outputs[-1]

    original = image_folder.run_model
    monkeypatch.setattr(image_folder, 'run_model', run_model)
    visualize('mae.py', 'mae.pth', 'a.png', '--out', 'out', *flags)
    (record,) = outputs[0].records
    pixels = record.image[..., 0].reshape(8, 4, 4, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(record.score, pixels, atol=4)
    assert record.score_note == 'UserMaps'


@pytest.mark.parametrize('shuffled', [False, True])
def test_maps_by_sample_id_are_not_drawn_over_other_images(mae_files, shuffled):
    np.save('maps.npy', np.ones((3, 4, 4), np.float32))
    scorer = dict(type='mmattmask.UserMaps', path='maps.npy')
    if shuffled:
        scorer = dict(type='mmattmask.ShuffledMaps', scorer=scorer)
    mae_files(**MAE | dict(scorer=scorer))
    write_images('images', count=1)
    arguments = ['mae.py', 'mae.pth', 'images', '--out', 'out']
    with pytest.raises(SystemExit, match=r'maps\.npy holds maps by sample id, .*cls'):
        visualize(*arguments)
    assert '1 images in out' in visualize(*arguments, '--score', 'cls')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['mae.py', 'first.pth'], 'there is no image in the arguments'),
        (['mae.py', 'first.pth', 'nowhere'], 'no image or folder nowhere'),
        (['mae.py', 'lost.pth', 'images'], 'no checkpoint lost.pth'),
        (['resnet', 'first.pth', 'images'], "'resnet' is neither a config file nor"),
        (['mae.py', 'first.pth', 'images', '--size', '32'], '--size 32 32 goes with'),
        (
            ['mae.py', 'first.pth', 'images', '--block', '5'],
            r'block 5 .* only \[0, 1\]',
        ),
        (
            ['mae.py', 'first.pth', 'images', '--key', 'teacher'],
            r"GuidedMAE has no 'teacher' but \['student'\]",
        ),
        (['--strips', 'images'], 'there are no drawings in images'),
        (['mae.py', 'first.pth', 'broken.png'], 'broken.png cannot be read'),
        (['mae.py', 'first.pth', 'float.tif'], 'float.tif holds float32 numbers from'),
    ],
    ids=str,
)
def test_mistakes_end_in_one_clear_line(files, arguments, message):
    Path('broken.png').write_bytes(b'no image')
    Image.fromarray(np.ones((4, 4), np.float32)).save('float.tif')
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        visualize(*arguments)
