"""AttMask-High on a small ViT on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/attmask/attmask-high_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='high',
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
    )
)
