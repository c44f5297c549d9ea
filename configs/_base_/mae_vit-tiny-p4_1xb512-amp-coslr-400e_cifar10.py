"""Stock MAE with a ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs on one GPU."""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

# MMPretrain's CIFAR10 has RGB images, files are BGR
data_preprocessor = dict(
    mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False
)
model = dict(
    backbone=dict(arch='deit-tiny', img_size=32, patch_size=4),
    neck=dict(
        patch_size=4,
        embed_dim=192,
        decoder_embed_dim=192,
        decoder_depth=4,
        decoder_num_heads=3,
    ),
    head=dict(patch_size=4),
)
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [{**crop, 'scale': 32}, flip, pack]
train_dataloader = dict(
    dataset=dict(type='CIFAR10', data_root='data/cifar10', pipeline=train_pipeline)
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
default_hooks = dict(checkpoint=dict(interval=20))
