"""SimMIM with a small Swin, masks by a frozen teacher, on the CPU: does it all run?

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/simmim/simmim-gpa_swin-tiny-w4_1xb8-coslr-2e_folder-128px_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = ['../_base_/folder_debug.py', '../_base_/gpa_teacher_debug.py']

backbone = {**_base_.teacher.backbone, 'img_size': 128, 'patch_size': 16}
data_preprocessor = dict(
    type='mmattmask.GuidedDataPreprocessor',
    scorer={**_base_.teacher, 'backbone': backbone},
    mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator', mask_ratio=0.6),
    mask_patch_size=32,
    model_patch_size=4,
)
model = dict(
    type='SimMIM',
    backbone=dict(
        type='SimMIMSwinTransformer',
        arch=dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8]),
        img_size=128,
        stage_cfgs=dict(block_cfgs=dict(window_size=4)),
    ),
    neck=dict(type='SimMIMLinearDecoder', in_channels=128, encoder_stride=32),
    head=dict(
        type='SimMIMHead',
        patch_size=4,
        loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
    ),
)
crop = {**_base_.crop, 'scale': 128}
mask = dict(type='SimMIMMaskGenerator', input_size=128)
train_pipeline = [_base_.load, crop, _base_.flip, mask, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2e-4 * 8 / 512))
