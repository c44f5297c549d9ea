"""``mmattmask check``: report and exit code for shipped and broken files."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from PIL import Image

from mmattmask import __main__ as command
from mmattmask.__main__ import run
from mmattmask.cli.check import PROBLEMS, SOUND, UNREADABLE
from tests.config_building import CONFIGS, ROOT
from tests.engine.toy_run import write_images

# The last of each folder: small, most of them for debugging
FOLDERS = sorted({Path(name).parts[1] for name in CONFIGS})
SAMPLES = [
    [name for name in CONFIGS if Path(name).parts[1] == folder][-1]
    for folder in FOLDERS
]
AMT = 'configs/amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'
DEBUG = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
GPA = 'configs/gpa/gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'
IBOT = 'configs/ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'


def check(name, *options):
    """Return the report, with single spaces, and the exit code."""
    text, code = run('check', [str(ROOT / name), *options])
    return re.sub(' +', ' ', text), code


@pytest.mark.parametrize('name', SAMPLES)
def test_shipped_config_is_sound(name):
    text, code = check(name)
    problems = [line for line in text.splitlines() if line.startswith('problem:')]
    # data, teachers and maps are not here
    absent = re.compile(' here: the run stops at its start|there are no maps at ')
    assert all(map(absent.search, problems)), text
    assert code == (PROBLEMS if problems else SOUND)


def test_a_folder_that_is_not_there_is_a_problem(tmp_path):
    option = 'train_dataloader.dataset.data_root='
    text, code = check(DEBUG, '--cfg-options', f'{option}{tmp_path / "gone"}')
    assert code == PROBLEMS
    assert f'problem: {tmp_path / "gone"} with training images is not here' in text
    write_images(tmp_path)
    text, code = check(DEBUG, '--cfg-options', f'{option}{tmp_path}')
    assert code == SOUND
    assert '\nproblems: 0, ' in text


def test_report_of_amt():
    text, _ = check(AMT)
    for line in (
        'host GuidedMAE with GuidedMAEViT, GuidedMAEDecoder, GuidedMAEHead',
        'cells of the policy 14 x 14 of 16 px',
        'visible 30 of 196 patches',
        'masked 88',
        'thrown 78',
        'encoder tokens 31',
        'decoder tokens 119',
        'batch 512 x 8 GPUs x 1 accumulated = 4096',
        'refresh before epochs 40, 80, 120, 160',
        'map of an image 14 x 14 in float16, 392 bytes',
    ):
        assert f' {line}' in text
    assert ", 0.61 of the stock host's random masks" in text


def test_report_of_hooks():
    text, _ = check(IBOT)
    assert 'hook EMATeacherHook(momentum=0.004, end_momentum=0.0)' in text
    assert re.search(r'hook TeacherTemperatureHook\(cls=\(0\.04, ', text)
    assert 'scorer TeacherAttention' in text
    assert 'soft=(0.5, 0.0), hard=(0.0, 0.5)' in check(GPA)[0]


def test_columns_are_aligned():
    text, _ = run('check', [str(ROOT / AMT)])
    rows = [line for line in text.splitlines() if line.startswith('  ')]
    rows = [line for line in rows if not line.startswith('    ')]
    starts = {re.match(r'  \S+( \S+)* {2,}', row).end() for row in rows if row}
    assert min(starts) > len('  cells of the policy')
    assert len(starts) <= 4  # numbers are aligned to the right


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        ('--cfg-options train_cfg.max_epochs=30', 'after 40 epochs, the run has 30'),
        ('--gpus 2', '512 in a batch, 2 processes and 1 accumulated make 1024'),
        (
            '--cfg-options model.mask_generator.throw_ratio=0.6',
            'problem: the model cannot be built: .*0.6',
        ),
    ],
)
def test_options_are_checked_too(options, problem):
    text, code = check(AMT, *options.split())
    assert code == PROBLEMS
    assert re.search(problem, text)


def test_stock_configs_can_be_read(tmp_path):
    path = tmp_path / 'stock.py'
    stock = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'
    path.write_text(f'_base_ = {stock!r}')
    text, code = run('check', [str(path)])
    assert code == PROBLEMS  # ImageNet is not here
    assert 'problems: 1, ' in text
    assert "the host's own, not guided" in text


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('x = (', 'cannot be read: SyntaxError'),
        ("_base_ = 'nowhere.py'", 'cannot be read: '),
        ('x = 1', 'has no model'),
        ("_base_ = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'", 'trains ImageCl'),
    ],
)
def test_unreadable_files(tmp_path, source, message):
    path = tmp_path / 'config.py'
    path.write_text(source)
    text, code = run('check', [str(path)])
    assert code == UNREADABLE
    assert message in text


def test_command_writes_and_returns(tmp_path, capsys):
    assert command.main(['check', str(ROOT / AMT)]) == PROBLEMS  # no data here
    assert 'problems: 1' in capsys.readouterr().out
    assert command.main(['check', str(tmp_path / 'none.py')]) == UNREADABLE
    captured = capsys.readouterr()
    assert 'none.py cannot be read' in captured.err
    assert not captured.out


@pytest.mark.parametrize(('argv', 'code'), [([], 2), (['what'], 2), (['--help'], 0)])
def test_usage(capsys, argv, code):
    assert command.main(argv) == code
    captured = capsys.readouterr()
    text = captured.err if code else captured.out
    assert 'check' in text
    assert 'doctor' in text


def test_score_of_a_checkpoint(tmp_path, monkeypatch):
    """A last block that attends to places: its queries do not see the image."""
    monkeypatch.chdir(tmp_path)
    write_images('images', count=12)
    name = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    cfg = Config.fromfile(ROOT / name)
    config = dict(cfg.model, data_preprocessor=cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(config)
        model.init_weights()
        torch.save(dict(state_dict=model.state_dict()), 'content.pth')
        with torch.no_grad():
            for block in model.backbone.layers:
                for layer in (block.attn.proj, block.ffn.layers[-2]):
                    layer.weight.zero_()
                    layer.bias.zero_()
            model.backbone.patch_embed.projection.weight.mul_(0.01)
            model.backbone.layers[-1].attn.qkv.weight.mul_(20)
        torch.save(dict(state_dict=model.state_dict()), 'place.pth')
        options = ['--cfg-options', 'train_dataloader.dataset.data_root=images']
        texts = {
            kind: run('check', [str(ROOT / name), '--score', f'{kind}.pth', *options])
            for kind in ('content', 'place')
        }
    assert 'the score is place, not content: ' in texts['place'][0]
    assert texts['place'][1] == PROBLEMS
    assert '(12 images)' in texts['content'][0]

    write_masks(tmp_path)
    options += ['--index', 'index.csv', '--picture', 'pictures/score.png']
    command = ['check', str(ROOT / name), '--score', 'content.pth', *options]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        text, _ = run(*command[:1], command[1:])
    assert re.search(r'without place it finds the foreground by [+-]\d', text), text
    assert '(4 images)' in text
    # the lower half is foreground: its distance from the middle says nothing
    assert "another image's 0." in text
    assert re.search(r"centre prior 0\.50, a patch's contrast 0\.\d\d", text), text
    # mean | three maps | the same without place, side by side
    height, width, _ = np.asarray(Image.open('pictures/score.png')).shape
    assert 4 < width / height < 7
    # 9 x 9 cells, which do not divide the student's 64 px
    options.insert(1, 'model.scorer.input_size=72')
    gpa = ROOT / 'configs/gpa/gpa_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    text, _ = run('check', [str(gpa), '--score', 'content.pth', *options])
    assert re.search(r"a patch's contrast 0\.\d\d", text), text
    text, code = run('check', [str(ROOT / name), '--picture', 'x.png'])
    assert (code, text) == (1, 'error: --index and --picture need --score CHECKPOINT')


def test_score_of_maps_that_are_looked_up(tmp_path, monkeypatch):
    """Nothing measures them: the training images' are looked at, and only theirs."""
    monkeypatch.chdir(tmp_path)
    write_images('images', count=12)
    cfg = Config.fromfile(ROOT / DEBUG)
    rng = np.random.default_rng(0)
    np.save('content.npy', rng.random((12, 8, 8), np.float32))
    np.save('place.npy', np.tile(rng.random((1, 8, 8), np.float32), (12, 1, 1)))
    given = [
        'train_dataloader.dataset.data_root=images',
        'model.scorer._delete_=True',
        'model.scorer.type=mmattmask.UserMaps',
    ]

    def look(path, *options, scorer=()):
        changes = [*given, f'model.scorer.path={path}', *scorer]
        command = [str(ROOT / DEBUG), '--score', 'weights.pth', *options]
        return run('check', [*command, '--cfg-options', *changes])[0]

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
        torch.save(dict(state_dict=model.state_dict()), 'weights.pth')
        assert 'the score is place, not content: 100% of it' in look('place.npy')
        assert re.search('the score is content: -?[0-9]% of it', look('content.npy'))
        write_masks(tmp_path)
        drawn = ('--picture', 'drawn.png')
        assert look('content.npy', '--index', 'index.csv', *drawn) == (
            f'error: the maps of {ROOT / DEBUG} are of its training images and tell '
            'nothing of those in index.csv: leave --index out'
        )
        assert not Path('drawn.png').exists()
        parts = ['model.scorer.type=mmattmask.LabelMaps']
        parts += ['model.mask_generator._delete_=True']
        parts += ['model.mask_generator.type=mmattmask.PartMaskGenerator']
        np.save('parts.npy', rng.integers(0, 4, (12, 8, 8)))
        text = look('parts.npy', scorer=parts)
        assert 'error: LabelMaps knows no score of whole images' in text
        Path('images/class_0/004.png').write_bytes(b'no image')
        text = look('content.npy')
        assert re.match('error: a training image cannot be read: .*004.png', text)


def write_masks(folder):
    """Annotate the lower half of four images."""
    mask = np.zeros((24, 30), np.uint8)
    mask[12:] = 1
    Image.fromarray(mask).save(folder / 'mask.png')
    rows = [f'images/class_0/{number:03d}.png,mask.png' for number in (0, 2, 4, 6)]
    (folder / 'index.csv').write_text('\n'.join(['image,mask', *rows]))
