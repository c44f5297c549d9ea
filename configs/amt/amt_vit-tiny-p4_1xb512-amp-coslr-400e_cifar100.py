"""AMT 45/40 on MAE ViT-Ti/4 on CIFAR-100, 32 px, 400 epochs.

Command:
    CONFIG=configs/amt/amt_vit-tiny-p4_1xb512-amp-coslr-400e_cifar100.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    under 1 on an A100, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to CIFAR-100); not run by us.
"""

_base_ = './amt_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py'

data_preprocessor = dict(mean=[129.304, 124.070, 112.434], std=[68.170, 65.392, 70.418])
train_dataloader = dict(dataset=dict(type='CIFAR100', data_root='data/cifar100'))
