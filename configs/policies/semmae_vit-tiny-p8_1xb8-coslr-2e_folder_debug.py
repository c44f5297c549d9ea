"""SemMAE's second stage on a small MAE on the CPU: does everything run?

Command:
    CONFIG=configs/policies/semmae_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS='train_dataloader.dataset.data_root=FOLDER model.scorer.path=LABELS'
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/mae_vit-tiny-p8_folder_debug.py'

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(type='mmattmask.LabelMaps', path='data/parts'),
    mask_generator=dict(type='mmattmask.PartMaskGenerator'),
)
