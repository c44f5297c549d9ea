"""AMT 45/40 on MAE ViT-S/16 on upright images of 256 x 128 px, such as persons.

Command:
    CONFIG=configs/amt/amt_vit-small-p16_1xb256-amp-coslr-400e_folder-256x128.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    2 per 100,000 images, estimated from FLOPs (README.md).
Metric:   depends on your images; not run by us.
"""

_base_ = './amt_vit-small-p16_1xb256-amp-coslr-400e_folder.py'

# sizes are (height, width)
model = dict(backbone=dict(img_size=(256, 128)))
load, crop, flip, pack = _base_.train_pipeline
# width / height: half the usual 3/4 to 4/3, so that nothing is squashed
crop = {**crop, 'scale': (256, 128), 'aspect_ratio_range': (3 / 8, 2 / 3)}
train_dataloader = dict(dataset=dict(pipeline=[load, crop, flip, pack]))
