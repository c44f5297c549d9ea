"""AM 75/0 on a small MILAN on the CPU: does everything run?

A small random ViT stands in for CLIP: this shows that the parts work together, nothing
more.

Command:
    CONFIG=configs/hosts/milan-am_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './eva-am_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    type='mmattmask.GuidedMILAN',
    backbone=dict(type='MILANViT'),
    neck=dict(type='MILANPretrainDecoder', num_patches=64),
)
