"""GPA on MAE with HiViT-B, 400 epochs: soft-to-hard masks by a frozen teacher.

HiViT has no CLS token to guide itself. The teacher, a MAE ViT-B/16, sees every view;
its grid is that of HiViT's last stage. Put its weights in checkpoints/.

Command:
    CONFIG=configs/hosts/mae-gpa_hivit-base-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    not measured.
Metric:   none published.
"""

_base_ = [
    'mmpretrain::mae/mae_hivit-base-p16_8xb512-amp-coslr-400e_in1k.py',
    '../_base_/gpa_teacher.py',
]

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=_base_.teacher,
    mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator', exclusive=True),
)
find_unused_parameters = False  # stock has True; here all of them learn
