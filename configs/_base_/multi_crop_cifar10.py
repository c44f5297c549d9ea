"""Views of CIFAR-10: two of 32 px and six of 16 px, not blurred.

The numbers are ours: at 32 px a blur, and views of a twentieth of the image, leave
nothing to see.
"""

_base_ = './multi_crop.py'

# MMPretrain's CIFAR10 has RGB images, files are BGR
data_preprocessor = dict(
    mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False
)
large = {**_base_.global_crop, 'scale': 32, 'crop_ratio_range': (0.4, 1.0)}
small = {**_base_.local_crop, 'scale': 16, 'crop_ratio_range': (0.1, 0.4)}
color = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='NumpyToPIL'),
    dict(type='RandomApply', transforms=[_base_.jitter], prob=0.8),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy'),
]
multi_crop = {
    **_base_.multi_crop,
    'num_views': [1, 1, 6],
    'transforms': [
        [large, *color],
        [large, *color, _base_.solarize],
        [small, *color],
    ],
}
train_pipeline = [multi_crop, _base_.pack]
train_dataloader = dict(
    batch_size=256,
    dataset=dict(type='CIFAR10', data_root='data/cifar10', pipeline=train_pipeline),
)
