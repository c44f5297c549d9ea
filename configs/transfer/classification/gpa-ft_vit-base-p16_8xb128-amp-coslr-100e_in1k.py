"""Fine-tuning of ViT-B/16 on ImageNet-1k: GPA's and HPM's protocol.

MAE's, with a layer decay of 0.8.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=gpa-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024 (HPM: 384).
Hours:    not measured.
Metric:   top-1 83.2 after 200 epochs, 83.4 after 300 (GPA's paper; not run by us).
"""

_base_ = './mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
