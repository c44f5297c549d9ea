"""mmattmask select as a user runs it."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image

from mmattmask.masking import min_max
from mmattmask.models.guidance import attention_maps
from mmattmask.scorers.self_attention import read_cls_attention
from tests.command_line import mmattmask

MODEL = ('mae.pth', '--config', 'mae.py')


def run(*arguments):
    return mmattmask('select', *arguments, '--device', 'cpu')


@pytest.fixture
def model(mae_files):
    return mae_files(img_size=32, depth=3, backbone__mask_ratio=0.6)


@pytest.fixture
def folders(tmp_path):
    """Six images with a bright square each, and their masks; the last is empty."""
    draw = np.random.default_rng(0)
    for number in range(6):
        pixels = draw.integers(0, 90, (40, 48, 3), dtype=np.uint8)
        mask = np.zeros((40, 48), dtype=np.uint8)
        top, left = draw.integers(0, 24, 2)
        mask[top : top + 16, left : left + 20] = 255 if number < 5 else 0
        pixels[mask > 0] += 120
        for name, array in (('images', pixels), ('masks', mask)):
            path = tmp_path / 'data' / name / f'{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    data = tmp_path / 'data'
    return '--images', data / 'images', '--masks', data / 'masks'


@pytest.mark.parametrize('attention', ['received', 'cls'])
def test_generated_folder(tmp_path, model, folders, attention):
    options = ('--attention', attention, '--work-dir', 'out')
    said = run(*MODEL, *folders, *options)
    assert 'over 5 images; 1 without an annotated patch' in said
    assert re.search(r'\| +block \| +0 \| +1 \| +all \|', said)
    out = tmp_path / 'out' / 'head_recall.json'
    content = json.loads(out.read_text())
    table = np.array(content['recall']['annotated_macro'])
    chosen = content['chosen']
    column = 2 if chosen['head'] is None else chosen['head']
    assert table.shape == (3, 3)
    assert table[chosen['block'], column] == table.max()
    picture = np.asarray(Image.open(out.with_suffix('.png')))
    assert min(picture.shape[:2]) > 200
    (line,) = [x for x in said.splitlines() if x.startswith('scorer=')]
    assert content['options']['config'] == line
    scorer = MODELS.build(eval(line.removeprefix('scorer=')))
    scorer.init_weights()
    assert (scorer.block, scorer.head) == (chosen['block'], chosen['head'])
    assert scorer.attention == attention
    check_recall(scorer, tmp_path / 'data', table.max())


def test_without_annotations_for_the_models_own_attention(model, folders):
    options = ('--unsupervised', '--attention', 'cls', '--block', 1)
    said = run(*MODEL, *folders[:2], *options)
    assert re.search(r'\| all \| \d\.\d\d \| -?\d\.\d\d \|', said)
    (line,) = [x for x in said.splitlines() if 'CachedAttention' in x]
    config = eval(line.partition('scorer=')[2])
    assert config['block'] == 1
    settings = Config.fromfile('mae.py').model
    model = MODELS.build(settings | dict(scorer=config))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        read = read_cls_attention(model.backbone, images, 1)
        maps = attention_maps(model, images).flatten(1)
    head = config['head']
    expected = read.mean(dim=1) if head is None else read[:, head]
    torch.testing.assert_close(maps, min_max(expected))
    wrong = settings | dict(scorer=dict(config, head=2))
    with pytest.raises(ValueError, match='head 2 does not exist in 2 heads'):
        MODELS.build(wrong)


def test_a_library_vit(tmp_path, folders):
    timm = pytest.importorskip('timm')
    name = 'vit_tiny_patch16_224.augreg_in21k'
    vit = timm.create_model(name, num_classes=0)
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')
    options = ('--attention', 'cls', '--max-images', 2, '--work-dir', tmp_path / 'out')
    said = mmattmask(
        'select', tmp_path / 'vit.pth', '--library', name, *folders, *options
    )
    (line,) = [x for x in said.splitlines() if 'FrozenTeacher' in x]
    scorer = MODELS.build(eval(line.removeprefix('scorer=')))
    scorer.init_weights()
    assert (scorer.teacher.num_blocks, scorer.teacher.img_size) == (12, (224, 224))
    assert 'CachedAttention' not in said


def check_recall(scorer, data, expected):
    """Measure the recall of the scorer that the tool says to use, by hand."""
    recalls = []
    for path in sorted((data / 'images').iterdir()):
        image = np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR))
        image = (image - np.array([120, 121, 122])) / np.array([60, 61, 62])
        image = torch.from_numpy(image).float().permute(2, 0, 1)[None]
        score = scorer.measure(scorer.teacher, image)[0].numpy()
        mask = np.asarray(Image.open(data / 'masks' / path.name)) > 0
        foreground = mask.reshape(4, 10, 4, 12).mean(axis=(1, 3)).reshape(-1) >= 0.5
        if foreground.any():
            top = np.argsort(-score)[: foreground.sum()]
            recalls.append(foreground[top].mean())
    assert np.mean(recalls) == pytest.approx(expected)


def test_few_images_are_the_same_every_time(tmp_path, model, folders):
    files = [*MODEL, *folders, '--max-images', 3, '--work-dir']
    for name in 'ab':
        run(*files, name, '--seed', 1)
    first, second = ((tmp_path / name / 'head_recall.csv').read_text() for name in 'ab')
    assert first == second
    content = json.loads((tmp_path / 'a' / 'head_recall.json').read_text())
    assert content['images']['read'] == 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('vit.pth', 'give one of --index, --masks'),
        ('vit.pth --index a --masks b', 'give one of --index, --masks'),
        ('vit.pth --masks b', 'need --images'),
        ('vit.pth --unsupervised', 'need --images'),
        ('vit.pth --unsupervised --masks b', 'give one of'),
        ('vit.pth --index a --where split', 'COLUMN=VALUE, got split'),
        ('vit.pth --index a --ratio first', "--ratio: .*'first'"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        mmattmask('select', *arguments.split())
    # argparse prints what it refuses itself
    assert re.search(message, f'{error.value}{capsys.readouterr().err}')


def test_errors(tmp_path, model, folders):
    masks = tmp_path / 'data' / 'masks'
    cases = {
        'coverage must be in (0, 1], got 2.0': ('--coverage', 2),
    }
    for message, arguments in cases.items():
        with pytest.raises(SystemExit, match=f'^error: {re.escape(message)}'):
            run(*MODEL, *folders, *arguments)
    (masks / '0.png').write_bytes(b'torn')
    with pytest.raises(SystemExit, match=f'{masks / "0.png"} cannot be read as an ima'):
        run(*MODEL, *folders)
    for path in masks.iterdir():
        Image.new('L', (48, 40)).save(path)
    none = 'no patch is annotated as foreground in any of 6 images'
    with pytest.raises(SystemExit, match=none):
        run(*MODEL, *folders)
    assert not (tmp_path / 'work_dirs').exists()


def test_real_photographs(tmp_path, model, data_folder):
    index = data_folder / 'fg_masks' / 'index.csv'
    only = ('--where', 'split=select', 'set=ecssd')
    run(*MODEL, '--index', index, *only, '--work-dir', 'out')
    with (tmp_path / 'out' / 'head_recall.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert all(0.1 < float(row['annotated_macro']) < 0.9 for row in rows)
    content = json.loads((tmp_path / 'out' / 'head_recall.json').read_text())
    # subjects smaller than half of one of the 4 x 4 patches are left out
    assert content['images']['read'] == 45
    assert 30 < content['images']['annotated'] <= 45
    references = content['references']
    # subjects are in the middle of photographs
    assert (
        references['centre']['annotated_macro']
        > 0.1 + (references['random']['annotated_macro'])
    )


def test_other_annotations(tmp_path, model, data_folder):
    coco, ade = data_folder / 'coco_mini', data_folder / 'ade_mini'
    instances = coco / 'annotations' / 'instances_val2017.json'
    labels = ('--labels', ade / 'annotations' / 'validation', '--background-ids', 0, 1)
    cases = [
        ('--images', coco / 'val2017', '--coco', instances, '--boxes'),
        ('--images', ade / 'images' / 'validation', *labels),
    ]
    for case, number in zip(cases, (32, 2), strict=True):
        run(*MODEL, *case, '--work-dir', 'out')
        content = json.loads((tmp_path / 'out' / 'head_recall.json').read_text())
        assert content['images']['read'] == number
