"""Fine-tuning of SimMIM's ViT-B/16 on Tiny-ImageNet, 224 px: AMT's protocol.

The paper gives no rates for it: those of ImageNet-1k, and a batch of ours.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-simmim-ft_vit-base-p16_1xb512-amp-coslr-100e_tiny-imagenet.py
    python tools/train.py $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 74.0 of SimMIM, 75.8 of AMT 44/26, 200 epochs (the paper's; not run by
    us).
"""

_base_ = [
    './amt-simmim-ft_vit-base-p16_8xb256-amp-coslr-100e_in1k.py',
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
optim_wrapper = dict(optimizer=dict(lr=1.25e-3 * 512 / 512))
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, {**cosine, 'eta_min': 2.5e-7 * 512 / 512}]
auto_scale_lr = dict(base_batch_size=512)
