"""SimMIM Swin-B, 192 px, 100 epochs, soft-to-hard masks by a frozen teacher (GPA).

Swin has no CLS token to guide itself. Every view is shown to a MAE ViT-B/16 too, whose
map is averaged over SimMIM's cells of 32 px. Put its weights in checkpoints/.

Command:
    CONFIG=configs/simmim/simmim-gpa_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    4, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none published.
"""

_base_ = [
    'mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py',
    '../_base_/gpa_teacher.py',
]

data_preprocessor = dict(
    type='mmattmask.GuidedDataPreprocessor',
    scorer=_base_.teacher,
    mask_generator=dict(
        type='mmattmask.SoftToHardMaskGenerator', mask_ratio=0.6, exclusive=True
    ),
    mask_patch_size=32,
    model_patch_size=4,
)
