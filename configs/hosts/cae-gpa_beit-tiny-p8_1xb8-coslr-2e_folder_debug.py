"""GPA on a small CAE on the CPU: does everything run, on my images too?

Tokenizer and teacher are random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/hosts/cae-gpa_beit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = ['../_base_/beit-tiny-p8_folder_debug.py', '../_base_/gpa_teacher_debug.py']

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    scorer=_base_.teacher,
    mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator', mask_ratio=24 / 64),
    mask_patch_size=8,
    num_masked=24,
)
model = dict(
    type='CAE',
    backbone=dict(
        type='CAEPretrainViT', layer_scale_init_value=0.1, bias='qv_bias', init_cfg=None
    ),
    neck=dict(
        type='CAENeck',
        num_classes=64,
        embed_dims=96,
        num_heads=3,
        regressor_depth=1,
        decoder_depth=1,
        layer_scale_init_value=0.1,
        mask_tokens_num=24,
    ),
    head=dict(_delete_=True, type='CAEHead', loss=dict(type='CAELoss', lambd=2)),
)
