"""A ViT whose attention finds objects: DINOv2's ViT-S/14, trained on for saliency.

A config takes it as ``scorer=_base_.teacher``; its images are enlarged to 168 px. The
head was chosen on photographs with masks. Weights: vit-small-p14_saliency.safetensors
below $MMATTMASK_WEIGHTS, as any of that model.
"""

teacher = dict(
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
