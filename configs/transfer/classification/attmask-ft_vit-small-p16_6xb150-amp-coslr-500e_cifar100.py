"""Fine-tuning of ViT-S/16 on CIFAR-100, 224 px: AttMask's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=attmask-ft_vit-small-p16_6xb150-amp-coslr-500e_cifar100.py
    torchrun --nproc-per-node 6 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 6 GPUs, batch 900. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 86.0 of iBOT and 86.6 of AttMask-High, 100 epochs on 20 % of ImageNet-1k
    (AttMask's; not run by us).
"""

_base_ = './attmask-ft_vit-small-p16_6xb150-amp-coslr-500e_cifar10.py'

data_preprocessor = dict(num_classes=100)
model = dict(head=dict(num_classes=100))
images = dict(type='CIFAR100', data_root='data/cifar100')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = val_dataloader
