"""Linear probe of ViT-B/16 on CIFAR-10, 224 px: AMT's protocol.

The batch is ours: 16384 images would be few steps, and the paper gives none.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-linear_vit-base-p16_1xb512-amp-coslr-90e_cifar10.py
    mmattmask train $CONFIG \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 1 GPU, batch 512. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 85.2 of MAE and 88.1 of AMT 45/40, 400 epochs (the paper's; not run by
    us).
"""

_base_ = './mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py'

data_preprocessor = dict(num_classes=10)
model = dict(head=dict(num_classes=10))
# arrays come as RGB, image files as BGR
decode = dict(type='PILToNumpy', to_bgr=True)
load, *rest = _base_.train_pipeline
train_pipeline = [decode, *rest]
load, *rest = _base_.test_pipeline
test_pipeline = [decode, *rest]
images = dict(type='CIFAR10', data_root='data/cifar10')
train_dataloader = dict(batch_size=512, dataset=dict(**images, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=512, dataset=dict(**images, split='test', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.1 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
