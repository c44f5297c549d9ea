"""configs/transfer/classification holds the papers' protocols, number by number."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS, DefaultScope

from tests.command_line import mmattmask, table_of
from tests.config_building import ROOT, SHIPPED, load
from tests.train_tool import train

from .conftest import assert_layer_decay, groups_of

FOLDER = 'configs/transfer/classification/'
NAMES = [name for name in SHIPPED if name.startswith(FOLDER)]
FULL = [name for name in NAMES if not name.endswith('_debug.py')]
DEBUG = [name for name in NAMES if name not in FULL]

# Fine-tuning by protocol (first words of a name) on ImageNet-1k: learning rate of so
# many images, layer decay, epochs of warm-up, drop path, lowest rate, layers share it.
MAE = dict(lr=5e-4, per=256, decay=0.65, warmup=5, path=0.1, low=1e-6, shared=False)
SIMMIM = dict(lr=1.25e-3, per=512, decay=0.65, warmup=20, low=2.5e-7 * 4, shared=True)
DEIT = dict(lr=7.5e-6, per=512, decay=1.0, warmup=5, path=0.1, low=1e-5, shared=True)
FINE_TUNING = {
    'mae-ft': MAE,
    'amt-ft': MAE,
    'amt-released-ft': {**MAE, 'lr': 1e-3, 'decay': 0.75},
    'gpa-ft': {**MAE, 'decay': 0.8},
    'simmim-ft': {**SIMMIM, 'path': 0.1},
    'amt-simmim-ft': {**SIMMIM, 'path': 0.1},
    'ibot-ft_vit-small': {**MAE, 'lr': 1e-3, 'decay': 0.75, 'warmup': 20},
    'ibot-ft_vit-base': {**MAE, 'lr': 1e-3, 'warmup': 20, 'path': 0.2},
}
# Linear probing: optimizer, learning rate of 256 images, epochs, warm-up.
LINEAR = {
    'mae-linear': ('LARS', 0.1, 90, 10),
    'amt-linear': ('LARS', 0.1, 90, 10),
    'gpa-linear': ('SGD', 0.1, 90, 10),
    'ibot-linear_vit-small': ('SGD', 0.005, 100, 0),
    'ibot-linear_vit-base': ('SGD', 0.001, 100, 0),
}
MEAN_POOLED = ('mae-ft', 'amt-released-ft', 'gpa-ft', 'simmim-ft')
DATASETS = {
    'in1k': ('ImageNet', 1000),
    'cifar10': ('CIFAR10', 10),
    'cifar100': ('CIFAR100', 100),
    'stl10': ('mmattmask.STL10', 10),
    'tiny-imagenet': ('mmattmask.TinyImageNet', 200),
}


def stem(name):
    return Path(name).stem


def images_of(name):
    gpus, batch_size = re.search(r'_(\d+)xb(\d+)-', name).groups()
    return int(gpus) * int(batch_size)


def protocol(name, table):
    """Return the table's entry with the longest name that begins the config's."""
    if table is FINE_TUNING and '_cifar' in name and stem(name)[:4] in ('ibot', 'attm'):
        return DEIT
    fits = [key for key in table if stem(name).startswith((f'{key}_', f'{key}-'))]
    return table[max(fits, key=len)]


FT = [name for name in FULL if '-ft_' in name]
PROBES = [name for name in FULL if '-linear_' in name]


def test_every_config_is_one_of_both():
    assert sorted(FT + PROBES) == FULL
    assert {stem(name).split('_')[-1] for name in FULL} == set(DATASETS)


@pytest.mark.parametrize('name', FULL)
def test_name_batch_epochs_and_data_agree(name):
    cfg = load(name)
    assert cfg.auto_scale_lr.base_batch_size == images_of(name)
    assert f'xb{cfg.train_dataloader.batch_size}-' in name
    assert ('-amp-' in name) == (cfg.optim_wrapper.type == 'AmpOptimWrapper')
    assert cfg.train_cfg.max_epochs == int(re.search(r'-(\d+)e_', name).group(1))
    dataset, num_classes = DATASETS[stem(name).split('_')[-1]]
    assert cfg.train_dataloader.dataset.type == dataset
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.val_dataloader.dataset.type == dataset
    assert cfg.train_dataloader.dataset.split == 'train'
    assert cfg.val_dataloader.dataset.split in ('val', 'test')
    assert cfg.model.head.num_classes == num_classes
    assert cfg.data_preprocessor.num_classes == num_classes  # mixup's one-hot labels
    assert cfg.load_from is None
    assert cfg.model.backbone.init_cfg == dict(
        type='Pretrained', _scope_='mmattmask', checkpoint=''
    )


def build(cfg):
    """Build as the runner does, on torch's meta device."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        return MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})


@pytest.mark.parametrize('name', FT)
def test_every_weight_has_the_rate_and_decay_of_the_paper(name):
    cfg, rule = load(name), protocol(name, FINE_TUNING)
    lr = rule['lr'] * images_of(name) / rule['per']
    model = build(cfg)
    assert_layer_decay(model, groups_of(cfg, model), lr, rule['decay'])
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.999)
    clip = cfg.optim_wrapper.get('clip_grad')
    assert clip == (dict(max_norm=5.0) if 'simmim' in name else None)


@pytest.mark.parametrize('name', FT)
def test_rates_rise_and_fall_as_in_the_paper(name):
    cfg, rule = load(name), protocol(name, FINE_TUNING)
    lr = rule['lr'] * images_of(name) / rule['per']
    first = rule['decay'] ** 13  # of the first layer
    rates = schedule(cfg, lr, first)
    epochs, steps = cfg.train_cfg.max_epochs, 4
    warm = rule['warmup'] * steps
    assert rates[:warm, 0].argmax() == warm - 1
    assert rates[warm, 0] == pytest.approx(lr)
    assert rates[0, 0] <= max(1e-6, lr * 1e-3)
    low = rule['low'] * (images_of(name) / 2048 if 'simmim' in name else 1)
    low = low * (lr / 2e-3 if rule is MAE else 1)  # follows the batch
    places = np.arange(epochs * steps - warm) / (epochs * steps - warm)
    fall = (1 + np.cos(np.pi * places)) / 2
    for column, scale in enumerate((1, first)):
        end = low if rule['shared'] else low * scale
        expected = end + (lr * scale - end) * fall
        np.testing.assert_allclose(rates[warm:, column], expected, rtol=1e-6)


def schedule(cfg, lr, scale, steps=4):
    """Return the rates of the last and the first layer at every step, (steps, 2)."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [
        dict(params=[w], lr=lr * s) for w, s in zip(weights, (1, scale), strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=lr)
    schedulers = []
    for options in cfg.param_scheduler:
        options = dict(options)
        kind = PARAM_SCHEDULERS.get(options.pop('type'))
        assert options.pop('convert_to_iter_based')
        assert options['end'] <= cfg.train_cfg.max_epochs
        options.pop('_scope_', None)
        schedulers.append(
            kind.build_iter_from_epoch(
                optimizer=optimizer, **options, epoch_length=steps
            )
        )
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * steps):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize('name', FT)
def test_fine_tuned_model_is_the_papers(name):
    cfg, rule = load(name), protocol(name, FINE_TUNING)
    model = build(cfg)
    rates = [float(getattr(m, 'drop_prob', 0.0)) for m in model.backbone.modules()]
    assert max(rates) == pytest.approx(rule['path'])
    last = model.backbone.layers[-1]
    if 'simmim' in name:
        assert isinstance(last.ffn.dropout_layer, torch.nn.Identity)  # dropped once
        assert last.gamma_1.shape == (768,)
        assert (model.backbone.pos_embed is None) == (not stem(name).startswith('amt'))
    pooled = stem(name).split('_')[0] in MEAN_POOLED
    assert model.backbone.out_type == ('avg_featmap' if pooled else 'cls_token')
    assert model.backbone.final_norm == (not pooled)
    logits = model.head(model.backbone(torch.empty(2, 3, 224, 224, device='meta')))
    assert logits.shape == (2, cfg.model.head.num_classes)
    assert [augment.type for augment in cfg.model.train_cfg.augments] == [
        'Mixup',
        'CutMix',
    ]
    assert [augment.alpha for augment in cfg.model.train_cfg.augments] == [0.8, 1.0]
    assert cfg.model.head.loss.label_smooth_val == 0.1
    erase = cfg.train_dataloader.dataset.pipeline[-2]
    assert (erase.type, erase.erase_prob) == ('RandomErasing', 0.25)


@pytest.mark.parametrize('name', PROBES)
def test_probe_learns_one_linear_layer(name):
    cfg = load(name)
    kind, rate, epochs, warmup = protocol(name, LINEAR)
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == kind
    assert optimizer.lr == pytest.approx(rate * images_of(name) / 256)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 0.0)
    assert cfg.train_cfg.max_epochs == epochs
    assert [s.type for s in cfg.param_scheduler][-1] == 'CosineAnnealingLR'
    assert cfg.param_scheduler[0].get('end') == (warmup or epochs)
    assert cfg.param_scheduler[-1].eta_min == 0.0

    model = build(cfg)
    learned = [k for k, value in model.named_parameters() if value.requires_grad]
    assert len(learned) == 2
    assert all(key.startswith('head.') for key in learned)
    tokens = model.backbone(torch.empty(2, 3, 224, 224, device='meta'))
    features = model.neck(tokens)
    dims = {'ibot-linear_vit-small': 4 * 384, 'ibot-linear_vit-base': 2 * 768}
    expected = next((d for key, d in dims.items() if key in name), 768)
    assert features[-1].shape == (2, expected)
    assert model.head(features).shape == (2, cfg.model.head.num_classes)
    if kind == 'LARS':
        excluded = {
            value.ndim: group.get('lars_exclude', False)
            for group in groups_of(cfg, model)
            for value in group['params']
            if value.requires_grad
        }
        assert excluded == {2: False, 1: True}


@pytest.mark.parametrize('name', FULL)
def test_red_image_reaches_the_model_as_red(name):
    """From an RGB array or a BGR file, with ImageNet's mean and deviation."""
    cfg = load(name)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        options = {'type': 'ClsDataPreprocessor', **cfg.data_preprocessor}
        preprocessor = MODELS.build(options)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            decode, *rest = loader.dataset.pipeline
            steps = [t for t in rest if t.type not in ('RandAugment', 'RandomErasing')]
            image = np.zeros((96, 96, 3), np.uint8)
            if decode.type == 'LoadImageFromFile':
                image[..., 2] = 255
            else:
                image[..., 0] = 255
                steps = [decode, *steps]
            results = dict(img=image, ori_shape=(96, 96), gt_label=3, img_path='a')
            for step in steps:
                results = TRANSFORMS.build(step)(results)
            assert results['inputs'].shape == (3, 224, 224)
            crop, *_ = (
                t for t in steps if t.type in ('RandomResizedCrop', 'ResizeEdge')
            )
            is_ibot_probe = name in PROBES and 'ibot' in name
            bilinear = is_ibot_probe and loader is cfg.train_dataloader
            assert crop.interpolation == ('bilinear' if bilinear else 'bicubic')
            batch = dict(
                inputs=results['inputs'][None], data_samples=[results['data_samples']]
            )
            red, green, _ = preprocessor(batch, training=False)['inputs'][0, :, 0, 0]
            assert red == pytest.approx((255 - 123.675) / 58.395, abs=1e-4)
            assert green == pytest.approx(-116.28 / 57.12, abs=1e-4)


def test_repeated_augmentation_sees_a_third_of_the_images():
    for name in (name for name in FT if protocol(name, FINE_TUNING) is DEIT):
        loader = load(name).train_dataloader
        assert loader.sampler.type == 'RepeatAugSampler'
        assert loader.drop_last


@pytest.mark.parametrize('name', DEBUG)
def test_debug_config_trains_and_reports_accuracy(
    name, tmp_path, pre_trained, data_folder
):
    source = 'cifar10' if 'cifar10' in name else 'tiny_imagenet_mini'
    roots = [
        f'{part}_dataloader.dataset.data_root={data_folder / source}'
        for part in ('train', 'val')
    ]
    few = 'train_dataloader.dataset.indices=128'
    file = f'model.backbone.init_cfg.checkpoint={pre_trained}'
    rows = train(name, tmp_path / 'work_dir', *roots, few, file)
    assert rows[-1]['accuracy/top1'] >= 0.0
    assert rows[-1]['accuracy/top5'] > 0.0
    assert (tmp_path / 'work_dir' / 'epoch_2.pth').is_file()


@pytest.mark.parametrize('command', ['knn', 'linear'])
def test_frozen_features_of_the_same_file(command, tmp_path, pre_trained, data_folder):
    config = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    folders = [
        f'--train={data_folder}/cifar10/train',
        f'--val={data_folder}/cifar10/test',
    ]
    cached = ['--cached-features', '--epochs', 1] if command == 'linear' else []
    cached += ['--subset', 8]
    place = ['--device', 'cpu', '--num-workers', 0]
    place += ['--work-dir', tmp_path]
    text = mmattmask(command, ROOT / config, pre_trained, *folders, *cached, *place)
    numbers = [float(cell) for row in table_of(text) for cell in row if '.' in cell]
    assert max(numbers) > 10


TINY = dict(embed_dims=24, num_layers=12, num_heads=3, feedforward_channels=48)


@pytest.mark.parametrize(
    ('part', 'source', 'new'),
    [
        ('/mae-ft_', dict(type='mmattmask.GuidedMAEViT'), {'ln2'}),
        ('/amt-ft_vit-base-p16_8xb128', dict(type='mmattmask.GuidedMAEViT'), set()),
        ('/mae-linear_', dict(type='mmattmask.GuidedMAEViT'), set()),
        ('/ibot-linear_vit-small', dict(type='mmattmask.IBOTViT'), set()),
        (
            '/amt-simmim-ft_vit-base-p16_8xb256',
            dict(
                type='mmattmask.SimMIMViT',
                use_abs_pos_emb=True,
                use_shared_rel_pos_bias=False,
            ),
            set(),
        ),
        ('/simmim-ft_', dict(type='mmattmask.SimMIMViT'), {'ln2'}),
    ],
)
def test_starts_from_what_was_pre_trained(part, source, new, tmp_path):
    """All weights of the encoder are the checkpoint's after init_weights()."""
    (name,) = [name for name in FULL if part in name]
    torch.manual_seed(1)
    pre_trained = MODELS.build(dict(source, arch=TINY, img_size=32, patch_size=16))
    for value in pre_trained.parameters():
        torch.nn.init.normal_(value)
    weights = pre_trained.state_dict()
    file = tmp_path / 'epoch_400.pth'
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in weights.items()}}, file)

    cfg = load(name)
    backbone = {**cfg.model.backbone, 'arch': TINY, 'img_size': 32}
    backbone['init_cfg'] = {**backbone['init_cfg'], 'checkpoint': str(file)}
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(backbone)
        model.init_weights()
    shared = weights.get('rel_pos_bias.relative_position_bias_table')
    for key, value in model.state_dict().items():
        if key.split('.')[0] in new or key.endswith('relative_position_index'):
            continue
        expected = weights.get(key)
        if key.endswith('relative_position_bias_table'):
            expected = shared
        torch.testing.assert_close(value, expected, msg=key)


def test_nothing_given_and_nothing_fitting_are_refused(tmp_path):
    cfg = load(f'{FOLDER}mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py')
    backbone = {**cfg.model.backbone, 'arch': TINY}
    torch.save({'state_dict': {'blocks.0.thing': torch.ones(1)}}, tmp_path / 'a.pth')
    for file, message in (('', 'no checkpoint'), (tmp_path / 'a.pth', 'does not fit')):
        backbone['init_cfg'] = {**backbone['init_cfg'], 'checkpoint': str(file)}
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(backbone)
            with pytest.raises(ValueError, match=message):
                model.init_weights()
