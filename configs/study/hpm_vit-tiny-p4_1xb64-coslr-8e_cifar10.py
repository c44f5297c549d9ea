"""HPM: half of the masks where the error is predicted to be high, rising from none.

Command:  CONFIG=configs/study/hpm_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    scorer=dict(type='mmattmask.PredictedLoss'),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.SoftToHardMaskGenerator',
        soft=(0, 0),
        hard=(0, 0.5),
        include_current=True,
    ),
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmattmask.LinearEMATeacherHook', ramp_epochs=4),
]
