"""iBOT on a small ViT on the CPU: does everything run, on my images too?

Two epochs in float32, 64 px. A few dozen images are enough.

Command:
    CONFIG=configs/ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/ibot_vit-tiny-p8_folder_debug.py'
