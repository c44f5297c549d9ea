"""AttMask-Hint on a small BEiT on the CPU: does everything run, on my images too?

The tokenizer is small and random: this shows that the parts work together, nothing
more.

Command:
    CONFIG=configs/hosts/beit-attmask_beit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/beit-tiny-p8_folder_debug.py'

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(type='mmattmask.AttMaskGenerator', mode='hint', mask_ratio=0.4),
    mask_patch_size=8,
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
