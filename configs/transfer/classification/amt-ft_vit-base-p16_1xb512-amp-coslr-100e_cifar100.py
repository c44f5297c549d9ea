"""Fine-tuning of ViT-B/16 on CIFAR-100, 224 px: AMT's protocol.

The paper gives no rates for it: those of ImageNet-1k, and a batch of ours.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-ft_vit-base-p16_1xb512-amp-coslr-100e_cifar100.py
    python tools/train.py $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 87.4 of MAE and 87.8 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = ['./amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py', './_base_/cifar100.py']

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
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
