"""The map of a real ViT, a saliency model of DINOv2's ViT-S/14, on images of 168 px.

Its maps are made once, as maps_teacher.npy beside the true ones:

Command:
    CONFIG=configs/study/teacher-map_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py
    mmattmask maps $CONFIG --out maps_teacher.npy
Hardware: CPU, 1 core.
Weights:  $MMATTMASK_WEIGHTS/vit-small-p14_saliency.safetensors, as any of that model.
"""

_base_ = './true-map_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py'

model = dict(
    scorer=dict(
        _delete_=True,
        type='mmattmask.FrozenTeacher',
        backbone=dict(
            type='VisionTransformer',
            arch='dinov2-small',
            patch_size=14,
            img_size=518,
            layer_scale_init_value=1e-5,
        ),
        checkpoint='{{$MMATTMASK_WEIGHTS:data}}/vit-small-p14_saliency.safetensors',
        attention='cls',
        block=11,
        head=2,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        channel_order='rgb',
        input_size=168,
    )
)
