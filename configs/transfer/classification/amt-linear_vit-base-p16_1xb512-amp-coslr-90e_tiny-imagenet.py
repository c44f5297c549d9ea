"""Linear probe of ViT-B/16 on Tiny-ImageNet, 224 px: AMT's protocol.

The batch is ours: 16384 images would be few steps, and the paper gives none.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-linear_vit-base-p16_1xb512-amp-coslr-90e_tiny-imagenet.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 55.2 of MAE and 59.6 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = './mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py'

data_preprocessor = dict(num_classes=200)
model = dict(head=dict(num_classes=200))
images = dict(type='mmattmask.TinyImageNet', data_root='data/tiny-imagenet-200')
train_dataloader = dict(batch_size=512, dataset=images)
val_dataloader = dict(batch_size=512, dataset=images)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.1 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
