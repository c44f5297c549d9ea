"""Fine-tuning of ViT-B/16 on Tiny-ImageNet, 224 px: AMT's protocol.

The paper gives no rates for it: those of ImageNet-1k, and a batch of ours.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-ft_vit-base-p16_1xb512-amp-coslr-100e_tiny-imagenet.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. mmattmask downloads the data.
Hours:    not measured.
Metric:   top-1 76.5 of MAE and 77.8 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = './amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

data_preprocessor = dict(num_classes=200)
model = dict(head=dict(num_classes=200))
images = dict(type='mmattmask.TinyImageNet', data_root='data/tiny-imagenet-200')
train_dataloader = dict(batch_size=512, dataset=images)
val_dataloader = dict(batch_size=512, dataset=images)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
