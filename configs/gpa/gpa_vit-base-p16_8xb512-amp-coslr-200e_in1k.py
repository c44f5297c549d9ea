"""GPA on MAE ViT-B/16, 200 epochs, as the paper describes it: teacher only.

A frozen MAE ViT-B/16 says, on every view, how much attention each patch receives. Soft
masks drawn by it give way to hard ones. Put the teacher's weights in checkpoints/.

Command:
    CONFIG=configs/gpa/gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    8, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 82.73 (the paper's; not run by us).
"""

_base_ = [
    'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py',
    '../_base_/gpa_teacher.py',
]

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=_base_.teacher,
    mask_generator=dict(
        type='mmattmask.SoftToHardMaskGenerator',
        mask_ratio=0.75,
        soft=(0.5, 0.0),
        hard=(0.0, 0.5),
        exclusive=True,
    ),
)
train_cfg = dict(max_epochs=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=20, convert_to_iter_based=True),
    # ends with the run, whatever its length
    dict(type='CosineAnnealingLR', begin=20, convert_to_iter_based=True),
]
