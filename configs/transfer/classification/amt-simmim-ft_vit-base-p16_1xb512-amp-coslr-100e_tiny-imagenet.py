"""Fine-tuning of SimMIM's ViT-B/16 on Tiny-ImageNet, 224 px: AMT's protocol.

The paper gives no rates for it: those of ImageNet-1k, and a batch of ours.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-simmim-ft_vit-base-p16_1xb512-amp-coslr-100e_tiny-imagenet.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 74.0 of SimMIM, 75.8 of AMT 44/26, 200 epochs (the paper's; not run by
    us).
"""

_base_ = './amt-simmim-ft_vit-base-p16_8xb256-amp-coslr-100e_in1k.py'

data_preprocessor = dict(num_classes=200)
model = dict(head=dict(num_classes=200))
images = dict(type='mmattmask.TinyImageNet', data_root='data/tiny-imagenet-200')
train_dataloader = dict(batch_size=512, dataset=images)
val_dataloader = dict(batch_size=512, dataset=images)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=1.25e-3 * 512 / 512))
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, {**cosine, 'eta_min': 2.5e-7 * 512 / 512}]
auto_scale_lr = dict(base_batch_size=512)
