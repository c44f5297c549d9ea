"""ConvMAE-B as its authors pre-train it: random masks, 1600 epochs, batch 3072.

Command, on each of 3 machines:
    CONFIG=configs/convmae/random_convmae-base-p16_24xb128-amp-coslr-1600e_in1k.py
    torchrun --nnodes 3 --nproc-per-node 8 --rdzv-backend c10d \\
        --rdzv-endpoint $HOST:29500 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 24 A100 80 GB.
Hours:    19, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k top-1, linear 70.9, fine-tuned 85.0 (the authors'; not run by us).
"""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py'

model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(_delete_=True, type='mmattmask.ConvMAEViT'),
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 3072 / 256))
auto_scale_lr = dict(base_batch_size=3072)
