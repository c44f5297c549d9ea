"""UperNet on iBOT's ViT-B/16, ADE20K, 512 x 512, 160k iterations: iBOT's recipe.

The final norm is applied to every output (`out_with_norm`). The learning rate is that
of iBOT's command; its config file alone has 7e-4.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=ibot-vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16.
Hours:    not measured.
Metric:   not in the sources that we have; not run by us.
"""

_base_ = './vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(backbone=dict(type='mmattmask.NormedViT', final_norm=True))
optim_wrapper = dict(optimizer=dict(lr=8e-5))
