"""Detection configs: the numbers of the papers, and they train and evaluate."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope
from torch import nn

from tests.config_building import ROOT
from tests.train_tool import train

from .conftest import train_with_own_tool
from .test_layer_decay import WRAPPER, assert_detectron2_rule

pytestmark = pytest.mark.downstream
mmdet = pytest.importorskip('mmdet', exc_type=ImportError)
pytest.importorskip('mmdet.models', exc_type=ImportError)
pytest.importorskip('mmcv.ops', exc_type=ImportError)

FOLDER = ROOT / 'configs' / 'transfer' / 'detection'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
DEBUG = [name for name in NAMES if name.endswith('_debug.py')]
PAPERS = [name for name in NAMES if name not in DEBUG]
COCO_90K = 'mask-rcnn_vitdet-base_8xb2-amp-90k_coco.py'
LVIS_75K = 'mask-rcnn_vitdet-base_8xb2-amp-75k_lvis.py'
# name: images per step, learning rate, length, drops of the learning rate
SCHEDULES = {
    COCO_90K: (16, 1e-4, 90000, [80000, 86667]),
    'mask-rcnn_vit-base_8xb2-amp-90k_coco.py': (16, 1e-4, 90000, [80000, 86667]),
    'mask-rcnn_vitdet-base_8xb2-amp-12e_coco.py': (16, 1e-4, 12, [8, 11]),
    'mask-rcnn_vitdet-base_64xb1-amp-184k_coco.py': (
        64,
        1e-4,
        184375,
        [163889, 177546],
    ),
    LVIS_75K: (16, 2e-4, 75000, [66667, 72222]),
    'mask-rcnn_vitdet-base_64xb1-amp-156k_lvis.py': (
        64,
        2e-4,
        156250,
        [138889, 150463],
    ),
}


def load(name):
    return Config.fromfile(str(FOLDER / name))


def build(registry, part):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return registry.build(part)


@pytest.mark.parametrize('name', PAPERS)
def test_schedule_is_the_papers(name):
    images, rate, length, drops = SCHEDULES[name]
    cfg = load(name)
    gpus, batch_size = map(int, re.search(r'_(\d+)xb(\d+)-amp-', name).groups())
    assert gpus * batch_size == images == cfg.auto_scale_lr.base_batch_size
    assert cfg.train_dataloader.batch_size == batch_size
    assert not cfg.auto_scale_lr.enable

    by_epoch = length < 100
    total = cfg.train_cfg.get('max_epochs') if by_epoch else cfg.train_cfg.max_iters
    assert total == length
    loop = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    assert cfg.train_cfg.type == loop
    assert cfg.log_processor.by_epoch == by_epoch
    assert cfg.default_hooks.checkpoint.by_epoch == by_epoch
    warmup, steps = cfg.param_scheduler
    assert (warmup.type, warmup.start_factor, warmup.end) == ('LinearLR', 0.001, 250)
    assert not warmup.by_epoch
    assert steps.milestones == drops
    assert (steps.end, steps.gamma, steps.by_epoch) == (length, 0.1, by_epoch)
    if not by_epoch:  # 88.9 % and 96.3 % of the run, as ViTDet
        assert drops == [
            math.ceil(length * 8 / 9),
            pytest.approx(length * 26 / 27, abs=1),
        ]

    wrapper = cfg.optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.optimizer == dict(WRAPPER['optimizer'], lr=rate)
    assert wrapper.paramwise_cfg == WRAPPER['paramwise_cfg']
    assert 'clip_grad' not in wrapper
    assert [hook.type for hook in cfg.custom_hooks] == ['mmattmask.Fp16CompressionHook']


@pytest.mark.parametrize('name', PAPERS)
def test_images_are_jittered_and_padded_as_vitdet_does(name):
    cfg = load(name)
    dataset = cfg.train_dataloader.dataset
    assert cfg.train_dataloader.batch_sampler is None
    by_type = {transform.type: transform for transform in dataset.pipeline}
    assert [t.type for t in dataset.pipeline] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomFlip',
        'RandomResize',
        'RandomCrop',
        'FilterAnnotations',
        'PackDetInputs',
    ]
    assert by_type['LoadAnnotations'].poly2mask is False
    assert by_type['RandomResize'].scale == (1024, 1024)
    assert by_type['RandomResize'].ratio_range == (0.1, 2.0)
    assert by_type['RandomCrop'].crop_size == (1024, 1024)
    assert by_type['RandomCrop'].allow_negative_crop
    assert by_type['FilterAnnotations'].keep_empty is False
    resize = cfg.val_dataloader.dataset.pipeline[1]
    assert (resize.type, resize.scale, resize.keep_ratio) == (
        'Resize',
        (1024, 1024),
        True,
    )
    assert cfg.model.data_preprocessor.pad_size_divisor == 1024
    # tools/train.py would collate tensors by default
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.collate_fn.type == 'pseudo_collate'


@pytest.mark.parametrize('name', PAPERS)
def test_model_is_vitdets(name):
    cfg = load(name)
    lvis = name.endswith('_lvis.py')
    backbone = cfg.model.backbone
    assert (backbone.arch, backbone.img_size, backbone.drop_path_rate) == (
        'base',
        1024,
        0.1,
    )
    assert backbone.init_cfg == dict(
        type='Pretrained', _scope_='mmattmask', checkpoint=''
    )
    head, masks = cfg.model.roi_head.bbox_head, cfg.model.roi_head.mask_head
    assert head.type == 'Shared4Conv1FCBBoxHead'
    assert cfg.model.rpn_head.num_convs == 2
    assert head.num_classes == masks.num_classes == (1203 if lvis else 80)
    assert head.norm_cfg == masks.norm_cfg == dict(type='mmpretrain.LN2d', eps=1e-6)
    test = cfg.model.test_cfg.rcnn
    assert (test.score_thr, test.max_per_img) == ((0.02, 300) if lvis else (0.05, 100))
    assert head.loss_cls.type == ('mmattmask.FedLoss' if lvis else 'CrossEntropyLoss')
    if lvis:
        assert head.loss_cls.num_sampled == 50
        sampler = cfg.train_dataloader.sampler
        assert sampler == dict(type='mmattmask.RepeatFactorSampler', threshold=1e-3)


@pytest.mark.parametrize('name', [COCO_90K, LVIS_75K])
def test_whole_model_has_detectron2s_rates_norms_and_blocks(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    with torch.device('meta'):
        model = build(MODELS, cfg.model)
    windows = [layer.window_size for layer in model.backbone.layers]
    assert windows == [14, 14, 0] * 4
    assert model.backbone.pos_embed.shape == (1, 14, 14, 768)
    assert model.backbone.layers[2].attn.rel_pos_h.shape == (127, 64)
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}
    # blocks, pyramid, box head, mask head
    assert len(norms) == 24 + 9 + 4 + 4
    wrapper = build_optim_wrapper(model, {**cfg.optim_wrapper, 'type': 'OptimWrapper'})
    for group in wrapper.optimizer.param_groups:
        group['lr'] *= 1e-4 / cfg.optim_wrapper.optimizer.lr
    assert_detectron2_rule(model, wrapper)


def test_plain_variant_has_no_windows():
    backbone = load('mask-rcnn_vit-base_8xb2-amp-90k_coco.py').model.backbone
    assert backbone.window_size == 0
    assert backbone.use_rel_pos is False
    assert backbone.with_cp is True


def small_model(**changes):
    cfg = load(DEBUG[0])
    arch = dict(
        embed_dims=12,
        num_layers=2,
        num_heads=2,
        feedforward_channels=24,
        global_attn_indexes=[1],
    )
    cfg.model.backbone.update(arch=arch, init_cfg=None, **changes)
    cfg.model.neck.in_channels = 12
    torch.manual_seed(0)
    model = build(MODELS, cfg.model)
    model.init_weights()
    return model


def sample(height, width, boxes, ignored):
    """One packed image with `boxes` objects and `ignored` crowds."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import PolygonMasks
    from mmengine.structures import InstanceData

    def instances(number):
        corners = torch.tensor([[2.0, 3, 20, 17], [8, 8, 30, 25], [1, 1, 9, 9]])[
            :number
        ]
        polygons = [
            [np.array([x0, y0, x1, y0, x1, y1, x0, y1])] for x0, y0, x1, y1 in corners
        ]
        masks = PolygonMasks(polygons, height, width)
        labels = torch.arange(number)
        return InstanceData(bboxes=corners, labels=labels, masks=masks)

    meta = dict(
        img_shape=(height, width), ori_shape=(height, width), scale_factor=(1, 1)
    )
    packed = DetDataSample(metainfo={**meta, 'img_id': 1})
    packed.gt_instances = instances(boxes)
    packed.ignored_instances = instances(ignored)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return dict(inputs=image, data_samples=packed)


@pytest.mark.parametrize(
    'kinds',
    [
        [(97, 61, 3, 0), (33, 128, 1, 0)],  # odd and not square
        [(64, 64, 0, 0), (50, 90, 0, 0)],  # nothing to find
        [(64, 64, 2, 1), (64, 64, 0, 2)],  # crowds
    ],
)
def test_losses_and_gradients_are_finite(kinds):
    model = small_model()
    batch = pseudo_collate([sample(*kind) for kind in kinds])
    data = model.data_preprocessor(batch, training=True)
    assert data['inputs'].shape == (2, 3, 128, 128)
    loss, log = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert all(torch.as_tensor(value).isfinite() for value in log.values()), log
    for name, parameter in model.named_parameters():
        # a None would stop a distributed run
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    model.eval()
    with torch.no_grad():
        results = model.test_step(batch)
    for result, (height, width, _, _) in zip(results, kinds, strict=True):
        found = result.pred_instances
        assert found.masks.shape[1:] == (height, width)
        assert (found.bboxes[:, 2] <= width).all()


def test_padding_is_zero_after_normalisation():
    model = small_model()
    batch = pseudo_collate([sample(40, 50, 1, 0)])
    inputs = model.data_preprocessor(batch, training=True)['inputs']
    assert inputs[..., 40:, :].abs().max() == 0
    assert inputs[..., 50:].abs().max() == 0
    assert inputs[..., :40, :50].abs().mean() > 0.1


@pytest.fixture
def data(data_folder, monkeypatch, tmp_path):
    """A folder, the present one, with the small real data where configs look for it."""
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'coco').symlink_to(data_folder / 'coco_mini')
    (tmp_path / 'data' / 'lvis_v1').symlink_to(data_folder / 'lvis_mini')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', [COCO_90K, LVIS_75K])
def test_truth_as_prediction_is_perfect(name, data):
    pytest.importorskip('lvis')
    cfg = load(name)
    dataset = build(DATASETS, cfg.val_dataloader.dataset)
    metric = build(METRICS, cfg.val_evaluator)
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        packed = dataset[index]['data_samples']
        truth = packed.gt_instances
        prediction = dict(
            bboxes=truth.bboxes.tensor,
            labels=truth.labels,
            scores=torch.ones(len(truth)),
            masks=torch.from_numpy(truth.masks.to_ndarray()).bool(),
        )
        metric.process({}, [dict(packed.metainfo, pred_instances=prediction)])
    scores = metric.evaluate(len(dataset))
    which = ('lvis', 'AP') if name == LVIS_75K else ('coco', 'mAP')
    for kind in ('bbox', 'segm'):
        assert scores[f'{which[0]}/{kind}_{which[1]}'] == 1.0
    assert not hasattr(np, 'float')


def test_crowds_of_coco_are_ignored_not_learned(data):
    annotations = json.loads(
        Path('data/coco/annotations/instances_train2017.json').read_text()
    )['annotations']
    crowds = [a for a in annotations if a['iscrowd']]
    assert crowds
    cfg = load(DEBUG[0])
    dataset = build(DATASETS, cfg.train_dataloader.dataset)
    seen = 0
    for index in range(len(dataset)):
        image_id = dataset.get_data_info(index)['img_id']
        here = [a for a in annotations if a['image_id'] == image_id]
        if any(a['iscrowd'] for a in here):
            packed = dataset[index]['data_samples']
            assert len(packed.gt_instances) <= sum(not a['iscrowd'] for a in here)
            seen += 1
    assert seen


FEW = 'val_dataloader.dataset.indices=4'


def assert_trained(log, metric):
    """Six finite losses, and scores of boxes and masks."""
    *steps, last = log
    assert len(steps) == 6
    assert all(math.isfinite(step['loss']) for step in steps)
    assert steps[0]['loss'] != steps[-1]['loss']
    assert 0 <= last[metric] <= 1
    assert 0 <= last[metric.replace('segm', 'bbox')] <= 1


def test_mmdet_trains_and_evaluates_on_lvis(data, pre_trained):
    pytest.importorskip('lvis')
    file = f'model.backbone.init_cfg.checkpoint={pre_trained}'
    name = f'configs/transfer/detection/{DEBUG[1]}'
    assert_trained(train_with_own_tool(mmdet, name, data, FEW, file), 'lvis/segm_AP')


def test_coco_starts_from_a_pre_training(data, pre_trained):
    file = f'model.backbone.init_cfg.checkpoint={pre_trained}'
    name = f'configs/transfer/detection/{DEBUG[0]}'
    assert_trained(train(name, data / 'work', FEW, file), 'coco/segm_mAP')
    (log,) = (data / 'work').glob('*/*.log')
    # all but 24 tables of relative positions; the row of CLS and the last norm are over
    assert 'matched 147/171 weights of' in log.read_text()
    trained = torch.load(data / 'work' / 'iter_6.pth', weights_only=False)
    state = torch.load(pre_trained, weights_only=False)['state_dict']
    start = state['backbone.layers.0.attn.qkv.weight']
    change = trained['state_dict']['backbone.layers.0.attn.qkv.weight'] - start
    # six steps of AdamW at 1e-4 * 0.7 ** 12
    assert 0 < change.abs().max() < 6 * 1.2e-4 * 0.7**12


@pytest.mark.parametrize('name', NAMES)
def test_says_what_it_is_and_how_to_run_it(name):
    source = (FOLDER / name).read_text()
    for part in ('Command:', 'Hardware:', 'Hours:', 'Metric:', f'detection/{name}'):
        assert part in source
    assert len(source.splitlines()) < 60


def test_metafile_has_the_numbers_of_every_config():
    metafile = yaml.safe_load((FOLDER / 'metafile.yml').read_text())
    for model in metafile['Models']:
        cfg, metadata = load(Path(model['Config']).name), model['Metadata']
        length = cfg.train_cfg.get('max_iters') or cfg.train_cfg.get('max_epochs')
        assert metadata.get('Iterations', metadata.get('Epochs')) == length
        assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size


def test_configs_ask_for_a_checkpoint():
    cfg = load(DEBUG[0])
    model = build(MODELS, cfg.model)
    with pytest.raises(ValueError, match=r'model\.backbone\.init_cfg\.checkpoint=FILE'):
        model.init_weights()
