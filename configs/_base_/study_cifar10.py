"""The study's ViT, 4 blocks of width 96, and its part of CIFAR-10: 10 000 images.

Configs take parts of it: ``_base_.study.arch``.
"""

images = dict(
    type='mmattmask.PackedImages', data_root='{{$MMATTMASK_DATA:data}}/cifar10_full'
)
study = dict(
    arch=dict(embed_dims=96, num_layers=4, num_heads=3, feedforward_channels=384),
    train=dict(images, ann_file='train.npz', indices=10_000),
    test=dict(images, ann_file='test.npz'),
    # a quick look for the curves; mmattmask compare measures on all test images
    knn=dict(
        type='mmattmask.KNNHook',
        memory=dict(images, ann_file='train.npz', indices=1500),
        query=dict(images, ann_file='test.npz', indices=750),
        interval=2,
    ),
)
del images
