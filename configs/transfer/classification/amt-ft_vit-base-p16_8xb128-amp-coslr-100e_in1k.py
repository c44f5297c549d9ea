"""Fine-tuning of ViT-B/16 on ImageNet-1k as AMT's paper says: MAE's, with CLS.

The released command has the mean of the patches and other rates: amt-released-ft.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 82.6 of MAE, 82.8 of AMT 45/40, 400 epochs (the paper's; not run by us).
"""

_base_ = './mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

model = dict(backbone=dict(out_type='cls_token', final_norm=True))
