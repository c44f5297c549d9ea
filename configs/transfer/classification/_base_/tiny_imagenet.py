"""Tiny-ImageNet for pipelines that were written for image files."""

num_classes = 200
decode = [dict(type='LoadImageFromFile')]
train_data = dict(
    type='mmattmask.TinyImageNet', data_root='data/tiny-imagenet-200', split='train'
)
test_data = dict(
    type='mmattmask.TinyImageNet', data_root='data/tiny-imagenet-200', split='val'
)
