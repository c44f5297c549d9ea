"""The true map's policy, by the map of a real ViT.

Its maps are made once, as maps_teacher.npy beside the true ones:

Command:
    CONFIG=configs/study/teacher-map_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py
    mmattmask maps $CONFIG --out maps_teacher.npy
Hardware: CPU, 1 core.
"""

_base_ = [
    './true-map_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py',
    '../_base_/saliency_teacher.py',
]

model = dict(scorer={**_base_.teacher, '_delete_': True})
