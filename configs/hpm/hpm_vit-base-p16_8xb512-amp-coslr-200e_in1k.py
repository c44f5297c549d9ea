"""HPM on MAE ViT-B/16, 200 epochs: masks from the predicted reconstruction loss.

For comparison with attention: the schedule is GPA's without its soft part, the score is
what the model's EMA teacher expects to reconstruct badly.

Command:
    CONFIG=configs/hpm/hpm_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096 (the paper's 200-epoch recipe has 2048).
Hours:    14, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 83.0 (HPM's README; not run by us).
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    head=dict(norm_pix=False),  # as in all published commands
    scorer=dict(type='mmattmask.PredictedLoss'),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.SoftToHardMaskGenerator',
        soft=(0, 0),
        hard=(0, 0.5),
        include_current=True,
    ),
)
custom_hooks = [dict(type='mmattmask.LinearEMATeacherHook')]
