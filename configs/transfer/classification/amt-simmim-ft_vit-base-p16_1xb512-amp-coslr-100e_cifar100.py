"""Fine-tuning of SimMIM's ViT-B/16 on CIFAR-100, 224 px: AMT's protocol.

The paper gives no rates for it: those of ImageNet-1k, and a batch of ours.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-simmim-ft_vit-base-p16_1xb512-amp-coslr-100e_cifar100.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 80.3 of SimMIM, 86.1 of AMT 44/26, 200 epochs (the paper's; not run by
    us).
"""

_base_ = './amt-simmim-ft_vit-base-p16_1xb512-amp-coslr-100e_cifar10.py'

data_preprocessor = dict(num_classes=100)
model = dict(head=dict(num_classes=100))
images = dict(type='CIFAR100', data_root='data/cifar100')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = val_dataloader
