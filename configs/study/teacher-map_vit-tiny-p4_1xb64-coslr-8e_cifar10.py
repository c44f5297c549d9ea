"""A quarter of the patches masked by the map of a real ViT, the lowest half thrown.

The maps of all images are made once:

Command:
    CONFIG=configs/study/teacher-map_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
    mmattmask maps $CONFIG --out work_dirs/maps_teacher_cifar10.npy
Hardware: CPU, 1 core.
"""

_base_ = [
    './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py',
    '../_base_/saliency_teacher.py',
]

model = dict(
    scorer=_base_.teacher,
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.25,
        throw_ratio=0.5,
        throw='low',
    ),
)
