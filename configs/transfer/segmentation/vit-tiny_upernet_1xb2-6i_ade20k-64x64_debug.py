"""UperNet on a small plain ViT on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=vit-tiny_upernet_1xb2-6i_ade20k-64x64_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE \
        train_dataloader.dataset.data_root=FOLDER \
        val_dataloader.dataset.data_root=FOLDER
Hardware: CPU, 1 core.
Hours:    none; less than a minute (measured).
Metric:   none; nothing is learned in six iterations.
"""

_base_ = './mae-tiny_upernet_1xb2-6i_ade20k-64x64_debug.py'
custom_imports = None

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='deit-tiny',
        img_size=64,
        patch_size=8,
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
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        },
    ),
)
