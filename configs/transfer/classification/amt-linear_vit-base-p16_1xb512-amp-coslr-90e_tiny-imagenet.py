"""Linear probe of ViT-B/16 on Tiny-ImageNet, 224 px: AMT's protocol.

The batch is ours: 16384 images would be few steps, and the paper gives none.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-linear_vit-base-p16_1xb512-amp-coslr-90e_tiny-imagenet.py
    python tools/train.py $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 55.2 of MAE and 59.6 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = [
    './mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py',
    './_base_/tiny_imagenet.py',
]

data_preprocessor = dict(num_classes=_base_.num_classes)
model = dict(head=dict(num_classes=_base_.num_classes))
train_pipeline = [*_base_.decode, *_base_.train_pipeline[1:]]
test_pipeline = [*_base_.decode, *_base_.test_pipeline[1:]]
train_dataloader = dict(
    batch_size=512,
    dataset=dict(_delete_=True, **_base_.train_data, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=512,
    dataset=dict(_delete_=True, **_base_.test_data, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.1 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
