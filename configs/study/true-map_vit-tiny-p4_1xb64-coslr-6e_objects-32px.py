"""The true map: a quarter of the patches masked by it, the least attended half thrown.

Command:  CONFIG=configs/study/true-map_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = '../_base_/mae_vit-tiny-p4_objects-32px.py'

model = dict(
    scorer=dict(
        type='mmattmask.UserMaps',
        path='{{$MMATTMASK_OBJECTS:data/objects_on_scenes}}/maps_true.npy',
    ),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.25,
        throw_ratio=0.5,
        throw='low',
    ),
)
