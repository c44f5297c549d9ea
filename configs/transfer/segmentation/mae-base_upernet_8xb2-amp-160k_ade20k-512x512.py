"""UperNet on MMSegmentation's MAE ViT-B/16, ADE20K, 512 x 512, 160k iterations.

MMSegmentation's recipe of MAE, with mixed precision (its own `fp16` is ignored and it
trains in float32), and a loader that refuses what it cannot load.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16.
Hours:    not measured.
Metric:   mIoU 48.1 of MAE, 1600 epochs (MMSegmentation), 48.9 of GPA, 800 epochs
    (the paper's; not run by us).
"""

_base_ = [
    './_base_/find_mmseg.py',
    'mmseg::mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py',
]
custom_imports = dict(imports=['mmattmask.downstream.seg_mae'])

model = dict(
    pretrained=None,
    backbone=dict(
        type='mmattmask.SegMAE',
        init_cfg=dict(
            type='Pretrained',
            _scope_='mmattmask',
            checkpoint='',
            # what a plain ViT does not have
            optional=['relative_position', 'gamma_'],
        ),
    ),
)
# tools/train.py stacks batches otherwise, and these images differ in size
train_dataloader = dict(collate_fn=dict(type='pseudo_collate'))
val_dataloader = dict(collate_fn=dict(type='pseudo_collate'))
test_dataloader = val_dataloader
# Differs from MMSegmentation: `fp16` does nothing in MMEngine, this is AMP.
fp16 = None
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
auto_scale_lr = dict(enable=False, base_batch_size=16)
