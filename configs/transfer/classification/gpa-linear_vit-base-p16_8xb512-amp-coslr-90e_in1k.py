"""Linear probe of ViT-B/16 on ImageNet-1k: GPA's protocol.

MAE's with SGD instead of LARS. Base learning rate 0.1 is the code's default; neither
the paper nor the code gives the batch, 4096 is ours. Not comparable with mae-linear.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=gpa-linear_vit-base-p16_8xb512-amp-coslr-90e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 4096.
Hours:    not measured.
Metric:   top-1 64.9 of GPA, 50.8 of MAE, epochs not given (GPA's paper; not run by us).
"""

_base_ = './mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py'

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    optimizer=dict(type='SGD', lr=0.1 * 4096 / 256, momentum=0.9, weight_decay=0.0),
)
auto_scale_lr = dict(base_batch_size=4096)
