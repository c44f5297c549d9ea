"""GPA with the teacher run once: whole-image maps, cropped like the views.

Nearly the cost of MAE. The difference from running the teacher on every view is
measured in README.md.

Command:
    CONFIG=configs/gpa/gpa-cached_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none published.
"""

_base_ = './gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(scorer=dict(cached=True))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)]
