"""Views of STL-10's unlabeled images: two of 96 px and eight of 48 px.

The numbers are ours: iBOT's at 96 px, the radius of the blur and the smallest views
with it, so that they still show something. For the folder see configs/amt/README.md.
"""

_base_ = './multi_crop.py'

large = {**_base_.global_crop, 'scale': 96, 'crop_ratio_range': (0.3, 1.0)}
small = {**_base_.local_crop, 'scale': 48, 'crop_ratio_range': (0.1, 0.3)}
blur = {**_base_.blur, 'magnitude_range': (0.1, 1.0)}
color = _base_.flip_and_color
multi_crop = {
    **_base_.multi_crop,
    'num_views': [1, 1, 8],
    'transforms': [
        [large, *color, {**blur, 'prob': 1.0}],
        [large, *color, {**blur, 'prob': 0.1}, _base_.solarize],
        [small, *color, {**blur, 'prob': 0.5}],
    ],
}
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/stl10',
        data_prefix='unlabeled',
        with_label=False,
        pipeline=train_pipeline,
    )
)
