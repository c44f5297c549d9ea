"""AMT 45/40 on MAE ViT-S/16 on your own images, one GPU, 400 epochs.

Every image below the folder is used, in subfolders too; no labels are needed. With
fewer than some 100,000 images start from a model of ImageNet-1k: add
--cfg-options load_from=CHECKPOINT resume=False; for an encoder alone see
docs/guides/small_data.md.

Command:
    CONFIG=configs/amt/amt_vit-small-p16_1xb256-amp-coslr-400e_folder.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    3 per 100,000 images, estimated from FLOPs (README.md).
Metric:   depends on your images; not run by us.
"""

_base_ = './amt_vit-small-p16_8xb512-amp-coslr-400e_in1k.py'

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/folder',
        with_label=False,
        pipeline=_base_.train_pipeline,
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 256 / 256))
auto_scale_lr = dict(base_batch_size=256)
