"""UperNet on AMT's SimMIM ViT-B/16, ADE20K, 512 x 512, 160k iterations.

For checkpoints with absolute positions (configs/simmim/simmim-amt_*). Neither AMT nor
SimMIM segments with a ViT, so the recipe is MAE's.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=simmim-vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16.
Hours:    not measured.
Metric:   none published.
"""

_base_ = './vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        type='mmpretrain.BEiTViT',
        use_abs_pos_emb=True,
        use_rel_pos_bias=False,
        # MMPretrain's BEiT drops the output of the FFN twice
        layer_cfgs=dict(ffn_cfg=dict(add_identity=False, dropout_layer=None)),
    )
)
