"""Colours of LUT's second view: jitter, then one of grey, solarize and blur."""

jitter = [
    # torchvision's, for MMCV 2.2.0's own cannot turn hues back under NumPy 2
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='torchvision/ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
    ),
    dict(type='PILToNumpy', to_bgr=True),
]
gray = dict(
    type='RandomGrayscale',
    prob=1.0,
    keep_channels=True,
    channel_weights=(0.114, 0.587, 0.2989),
)
solarize = dict(type='Solarize', thr=128, prob=1.0)
blur = dict(
    type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=1.0
)
color = [
    dict(type='RandomApply', transforms=jitter, prob=0.8),
    dict(type='RandomChoice', transforms=[[gray], [solarize], [blur]]),
]
