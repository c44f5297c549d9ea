"""AttMask-High on iBOT ViT-S/16, 300 epochs.

Command:
    CONFIG=configs/attmask/attmask-high_vit-small-p16_8xb100-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 GPUs, batch 800.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 75.0, linear 77.5 (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py'

multi_crop = _base_.wide_multi_crop
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(batch_size=100, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=300)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 800 / 256))
auto_scale_lr = dict(base_batch_size=800)
