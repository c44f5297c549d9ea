"""The 90k config without windows and relative positions: the ViT as it was pre-trained.

All blocks are global. The fused attention keeps no 4096 x 4096 matrix, and blocks are
computed again in the backward pass (`with_cp`), so this is slow, not large.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vit-base_8xb2-amp-90k_coco.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, 2 images each.
Hours:    not measured.
Metric:   none published.
"""

_base_ = './mask-rcnn_vitdet-base_8xb2-amp-90k_coco.py'

model = dict(backbone=dict(window_size=0, use_rel_pos=False, with_cp=True))
