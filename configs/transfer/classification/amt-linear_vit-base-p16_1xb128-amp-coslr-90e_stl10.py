"""Linear probe of ViT-B/16 on STL-10, 224 px: AMT's protocol.

The batch is ours: 16384 images would be few steps, and the paper gives none.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-linear_vit-base-p16_1xb128-amp-coslr-90e_stl10.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 128. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 80.9 of MAE and 86.8 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = './amt-linear_vit-base-p16_1xb512-amp-coslr-90e_cifar10.py'

images = dict(type='mmattmask.STL10', data_root='data/stl10')
train_dataloader = dict(batch_size=128, dataset=images)
val_dataloader = dict(batch_size=128, dataset=images)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.1 * 128 / 256))
auto_scale_lr = dict(base_batch_size=128)
