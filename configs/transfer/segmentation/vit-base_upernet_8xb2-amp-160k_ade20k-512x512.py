"""UperNet on a plain ViT-B/16, ADE20K, 512 x 512, 160k iterations.

As mae-base, on the ViT that was pre-trained: without relative position biases and layer
scales, for images of any size.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16.
Hours:    not measured.
Metric:   none published for this backbone; mae-base has the papers'.
"""

_base_ = './mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
custom_imports = None

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=512,
        patch_size=16,
        drop_path_rate=0.1,
        out_indices=[3, 5, 7, 11],
        out_type='featmap',
        final_norm=False,
        init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=''),
    )
)
optim_wrapper = dict(
    constructor='mmattmask.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True,
        layer_decay_rate=0.65,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        # Differs from MMSegmentation: it means to spare these two, and decays them.
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        },
    ),
)
