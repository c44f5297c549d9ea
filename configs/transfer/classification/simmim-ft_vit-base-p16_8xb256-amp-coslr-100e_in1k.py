"""Fine-tuning of SimMIM's ViT-B/16 on ImageNet-1k: SimMIM's protocol.

Relative positions in every block, the mean of the patches.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=simmim-ft_vit-base-p16_8xb256-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 2048.
Hours:    not measured.
Metric:   top-1 83.8 after 800 epochs (SimMIM's; not run by us).
"""

_base_ = './mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

model = dict(
    backbone=dict(
        type='BEiTViT',
        use_rel_pos_bias=True,
        layer_scale_init_value=0.1,
        # Differs from MMPretrain: its BEiT drops the output of the FFN twice.
        layer_cfgs=dict(ffn_cfg=dict(add_identity=False, dropout_layer=None)),
    )
)
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    optimizer=dict(lr=1.25e-3 * 2048 / 512),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        # relative positions are decayed, unlike Swin's
        custom_keys={'.relative_position_bias_table': dict(decay_mult=1.0)},
    ),
)
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    {**warmup, 'start_factor': 2.5e-7 / 1.25e-3, 'end': 20},
    # the same lowest rate in all layers, as SimMIM's
    dict(
        type='CosineAnnealingLR',
        T_max=80,
        eta_min=2.5e-7 * 2048 / 512,
        begin=20,
        end=100,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=2048)
