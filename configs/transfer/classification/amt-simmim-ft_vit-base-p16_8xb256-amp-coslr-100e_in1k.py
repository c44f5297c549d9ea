"""Fine-tuning of AMT's SimMIM ViT-B/16 on ImageNet-1k: SimMIM's rates, with CLS.

Absolute positions, as it was pre-trained (configs/simmim/simmim-amt_*).

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-simmim-ft_vit-base-p16_8xb256-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 2048 (AMT does not give it).
Hours:    not measured.
Metric:   top-1 81.5 of SimMIM, 80.7 of AMT 44/26, 200 epochs (the paper's; not run by
    us).
"""

_base_ = './simmim-ft_vit-base-p16_8xb256-amp-coslr-100e_in1k.py'

model = dict(
    backbone=dict(
        use_abs_pos_emb=True,
        use_rel_pos_bias=False,
        out_type='cls_token',
        final_norm=True,
    )
)
