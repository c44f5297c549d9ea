"""AMT 45/40 by another image's attention map, 200 epochs: a control.

What AMT's own maps have to beat, see README.md.

Command:
    CONFIG=configs/policies/amt-shuffled_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    4, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=dict(
        _delete_=True,
        type='mmattmask.ShuffledMaps',
        scorer=dict(type='mmattmask.CachedAttention'),
    )
)
