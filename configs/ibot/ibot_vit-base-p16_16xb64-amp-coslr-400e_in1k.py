"""iBOT ViT-B/16, 400 epochs.

The authors' list of arguments cannot be read any more. These are the ones of others who
took it over; README.md says which are sure.

Command:
    CONFIG=configs/ibot/ibot_vit-base-p16_16xb64-amp-coslr-400e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 77.1, linear 79.5 (the authors'; not run by us).
"""

_base_ = './ibot_vit-small-p16_16xb64-amp-coslr-800e_in1k.py'

model = dict(backbone=dict(arch='base'), head=dict(norm_last_layer=True))
multi_crop = _base_.wide_multi_crop
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=400)
optim_wrapper = dict(
    clip_grad=dict(max_norm=0.3), optimizer=dict(lr=7.5e-4 * 1024 / 256)
)
warmup, cosine, weight_decay = _base_.param_scheduler
param_scheduler = [warmup, {**cosine, 'eta_min': 2e-6}, weight_decay]
hooks = {
    **_base_.hooks,
    'temperature': {**_base_.hooks.temperature, 'warmup_epochs': 50},
    'last_layer': {**_base_.hooks.last_layer, 'epochs': 3},
}
custom_hooks = [*hooks.values()]
