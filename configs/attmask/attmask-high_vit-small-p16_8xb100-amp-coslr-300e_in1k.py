"""AttMask-High on iBOT ViT-S/16, 300 epochs.

Command:
    CONFIG=configs/attmask/attmask-high_vit-small-p16_8xb100-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch
Hardware: 8 GPUs, batch 800.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 75.0, linear 77.5 (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py'

large = {**_base_.global_crop, 'crop_ratio_range': (0.32, 1.0)}
small = {**_base_.local_crop, 'crop_ratio_range': (0.05, 0.32)}
views = [[large, *_base_.look_1], [large, *_base_.look_2], [small, *_base_.look_3]]
multi_crop = {**_base_.multi_crop, 'transforms': views}
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(batch_size=100, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=300)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 800 / 256))
auto_scale_lr = dict(base_batch_size=800)
