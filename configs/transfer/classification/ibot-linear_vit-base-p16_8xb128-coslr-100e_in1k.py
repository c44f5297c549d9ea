"""Linear probe of ViT-B/16 on ImageNet-1k: iBOT's protocol with one learning rate.

CLS and the mean of the patches. 0.001 is the code's default, not the best:
mmattmask linear finds that.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-linear_vit-base-p16_8xb128-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 79.5 with block masks, 79.8 with random ones, the best of 45 rates
    (iBOT's; not run by us).
"""

_base_ = './ibot-linear_vit-small-p16_2xb1024-coslr-100e_in1k.py'

model = dict(
    backbone=dict(arch='base', out_indices=[11], out_type='raw'),
    head=dict(in_channels=2 * 768),
)
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=0.001 * 1024 / 256))
auto_scale_lr = dict(base_batch_size=1024)
