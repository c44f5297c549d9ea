"""Fine-tuning of ViT-B/16 on CIFAR-100, 224 px: iBOT's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-ft_vit-base-p16_8xb96-amp-coslr-1000e_cifar100.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 768. MMPretrain downloads the data.
Hours:    not measured.
Metric:   not in the sources that we have; not run by us.
"""

_base_ = './ibot-ft_vit-base-p16_8xb96-amp-coslr-1000e_cifar10.py'

data_preprocessor = dict(num_classes=100)
model = dict(head=dict(num_classes=100))
images = dict(type='CIFAR100', data_root='data/cifar100')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = val_dataloader
