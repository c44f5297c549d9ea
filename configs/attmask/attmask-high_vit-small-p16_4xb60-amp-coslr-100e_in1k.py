"""AttMask-High on iBOT ViT-S/16, 100 epochs.

The teacher's own CLS attention, in the pass that makes the targets, says which patches
are masked: the most attended 10 % to 50 %, in half of the large crops.

Command:
    CONFIG=configs/attmask/attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 72.5, linear 75.7 (the authors'; not run by us).
"""

_base_ = '../ibot/ibot_vit-small-p16_16xb64-amp-coslr-800e_in1k.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='high',
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
    )
)
train_dataloader = dict(batch_size=60)
train_cfg = dict(max_epochs=100)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 240 / 256))
auto_scale_lr = dict(base_batch_size=240)
