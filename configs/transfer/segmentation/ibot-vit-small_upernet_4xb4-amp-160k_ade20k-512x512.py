"""UperNet on iBOT's or AttMask's ViT-S/16, ADE20K, 512 x 512, 160k: iBOT's recipe.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=ibot-vit-small_upernet_4xb4-amp-160k_ade20k-512x512.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 4 GPUs, batch 16.
Hours:    not measured.
Metric:   not in the sources that we have; not run by us.
"""

_base_ = './ibot-vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384] * 4, channels=384),
    auxiliary_head=dict(in_channels=384),
)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=0.9))
