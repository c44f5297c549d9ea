"""Fine-tuning of the study's ViT, for `evaluation.finetune` of compare_cifar10.py.

Mean-pooled features, one learning rate for all blocks, 10 epochs on the same images.

Command:  CONFIG=configs/study/finetune_vit-tiny-p4_1xb128-coslr-10e_cifar10.py
          mmattmask train $CONFIG \
              --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: CPU, 1 core.
"""

_base_ = './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

data_preprocessor = dict(
    type='ClsDataPreprocessor',
    num_classes=10,
    mean=_base_.data_preprocessor.mean,
    std=_base_.data_preprocessor.std,
    to_rgb=False,
)
model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=_base_.model.backbone.arch,
        img_size=32,
        patch_size=4,
        out_type='avg_featmap',
        init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=''),
    ),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=96),
)
pack = dict(type='PackInputs')
flip = dict(type='RandomFlip', prob=0.5)
crop = dict(type='RandomCrop', crop_size=32, padding=4)
train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=[crop, flip, pack], indices=10_000)
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_base_.study.test, pipeline=[pack]),
)
val_evaluator = dict(type='Accuracy', topk=(1,))
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(lr=5e-4, betas=(0.9, 0.999)))
auto_scale_lr = dict(base_batch_size=128)
train_cfg = dict(max_epochs=10, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=1, T_max=9, end=10, convert_to_iter_based=True
    ),
]
custom_hooks = [dict(type='mmattmask.EpochSeedHook')]
randomness = dict(seed=0)
