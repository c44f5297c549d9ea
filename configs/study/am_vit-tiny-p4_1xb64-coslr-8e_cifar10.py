"""AM: attention-driven masks of 75 %, no throwing.

Command:  CONFIG=configs/study/am_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.75,
        throw_ratio=0.0,
    ),
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmattmask.AttentionRefreshHook', begin=2, interval=3),
    dict(type='mmattmask.GuidanceScalarsHook', interval=100),
]
