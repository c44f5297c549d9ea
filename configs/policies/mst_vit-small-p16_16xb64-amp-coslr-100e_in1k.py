"""MST's masks on DINO ViT-S/16, 100 epochs.

Less attended patches are masked by tosses of a coin, attended ones never. Share and
probability are not public, these are ours; MST's decoder, which restores the image, and
its loss are not here. There is no released code.

Command:
    CONFIG=configs/policies/mst_vit-small-p16_16xb64-amp-coslr-100e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   k-NN 72.1, linear 75.0, with the decoder (MST's; not run by us).
"""

_base_ = '../ibot/ibot_vit-small-p16_16xb64-amp-coslr-100e_in1k.py'

model = dict(
    patch_weight=0.0,
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='low',
        mask_ratio=0.5,
        patch_prob=0.5,
    ),
)
