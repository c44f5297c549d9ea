"""AttMask-Hint on a small ViT on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/attmask/attmask-hint_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './attmask-high_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(mask_generator=dict(mode='hint', show_max=0.1))
