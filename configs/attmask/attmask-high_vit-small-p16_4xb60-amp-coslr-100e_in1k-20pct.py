"""AttMask-High on iBOT ViT-S/16 on 20 % of ImageNet-1k, 100 epochs.

The first 260 images of each class.

Command:
    CONFIG=configs/attmask/attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   k-NN 49.7, linear 57.9, see README.md (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py'

multi_crop = {**_base_.multi_crop, 'num_views': [1, 1, 6]}
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmattmask.FirstPerClass',
        images_per_class=260,
        dataset={**_base_.train_dataloader.dataset, 'pipeline': train_pipeline},
    )
)
teacher = {**_base_.hooks.teacher, 'momentum': 0.01}  # the paper's 0.99
hooks = {**_base_.hooks, 'teacher': teacher}
custom_hooks = [*hooks.values()]
