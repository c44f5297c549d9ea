"""AM 75/0 on EVA in MAE style, ViT-B/16, 400 epochs: CLIP's features as targets.

The encoder is guided by its own attention. CLIP's weights come by the stock URL.

Command, on each of 2 machines:
    CONFIG=configs/hosts/eva-am_vit-base-p16_16xb256-coslr-400e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d \\
        --rdzv-endpoint $HOST:29500 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 A100 80 GB, batch 4096.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::eva/eva-mae-style_vit-base-p16_16xb256-coslr-400e_in1k.py'

model = dict(
    type='mmattmask.GuidedEVA',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.75, throw_ratio=0.0
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
find_unused_parameters = False  # stock has True; here all of them learn
