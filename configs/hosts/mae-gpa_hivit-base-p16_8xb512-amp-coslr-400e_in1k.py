"""GPA on MAE with HiViT-B, 400 epochs: soft-to-hard masks by a frozen teacher.

HiViT has no CLS token to guide itself. The teacher, a MAE ViT-B/16, sees every view;
its grid is that of HiViT's last stage. Put its weights in checkpoints/.

Command:
    CONFIG=configs/hosts/mae-gpa_hivit-base-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::mae/mae_hivit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(type='mmattmask.GuidedMAEHiViT'),
    neck=dict(type='mmattmask.GuidedMAEDecoder'),
    scorer=dict(
        type='mmattmask.FrozenTeacher',
        backbone=dict(type='VisionTransformer', arch='b', patch_size=16),
        checkpoint='checkpoints/mae_pretrain_vit_base.pth',
        block=9,
        head=11,
        attention='received_paper',
    ),
    mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator', exclusive=True),
)
# without _delete_, mmengine hands the base's scope to default_collate
train_dataloader = dict(collate_fn=dict(_delete_=True, type='default_collate'))
