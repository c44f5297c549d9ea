"""A small iBOT for two epochs on a folder of images at 64 px, on the CPU."""

_base_ = ['./multi_crop_stl10.py', './ibot.py']

model = dict(
    backbone=dict(arch='deit-tiny', img_size=64, patch_size=8),
    head=dict(out_channels=256, hid_channels=192, bottleneck_channels=64),
)
large = {**_base_.large, 'scale': 64}
small = {**_base_.small, 'scale': 32}
views = [[large, *_base_.color], [small, *_base_.color]]
multi_crop = {**_base_.multi_crop, 'num_views': [2, 4], 'transforms': views}
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='data/folder', data_prefix='', pipeline=train_pipeline),
)
optim_wrapper = dict(
    _delete_=True,
    type='mmattmask.PerTensorClipOptimWrapper',
    constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
    clip_grad=dict(max_norm=3.0),
    optimizer=dict(type='AdamW', lr=5e-4 * 8 / 256, weight_decay=0.04),
)
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_epochs=2)
warmup, cosine, weight_decay = _base_.param_scheduler
# no warm-up: stock cosines cannot go on from one of a single iteration
param_scheduler = [{**cosine, 'begin': 0}, weight_decay]
temperature = {**_base_.hooks.temperature, 'warmup_epochs': 2}
hooks = {**_base_.hooks, 'temperature': temperature}
custom_hooks = [*hooks.values()]
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
resume = False
