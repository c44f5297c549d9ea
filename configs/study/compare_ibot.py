"""AttMask's policies and their controls on iBOT: the study's ViT and images.

Masks hide none of half of the views and 10 to 50 % of the others, whatever the policy.

Command:  mmattmask compare configs/study/compare_ibot.py
Hardware: CPU, 1 core for every run.
"""

block = 'ibot_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'
random_shape = {'model.mask_generator.shape': 'random'}


def attmask(mode, scorer=None, **arguments):
    """Options of masks by the attention of the EMA teacher."""
    generator = dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode=mode,
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
        **arguments,
    )
    return {
        'model.mask_generator': generator,
        'model.scorer': scorer or dict(type='mmattmask.TeacherAttention'),
    }


shuffled = dict(
    type='mmattmask.ShuffledMaps', scorer=dict(type='mmattmask.TeacherAttention')
)
runs = dict(
    random=dict(config=block, options=random_shape, title='random', host='iBOT'),
    block=dict(config=block, title='blocks', host='iBOT'),
    high=dict(config=block, options=attmask('high'), title='AttMask-High', host='iBOT'),
    hint=dict(
        config=block,
        options=attmask('hint', show_max=0.1),
        title='AttMask-Hint',
        host='iBOT',
    ),
    high_shuffled=dict(
        config=block,
        options=attmask('high', shuffled),
        title="AttMask-High, another image's",
        host='iBOT',
    ),
    low=dict(config=block, options=attmask('low'), title='AttMask-Low', host='iBOT'),
)
baseline = control = 'random'
epochs = 8
seeds = tuple(range(6))
budgets = ('images',)  # masks leave the tokens as they are
images = dict(
    type='mmattmask.PackedImages', data_root='{{$MMATTMASK_DATA:data}}/cifar10_full'
)
content = dict(index='{{$MMATTMASK_DATA:data}}/fg_masks/index.csv')
evaluation = dict(
    train=dict(images, ann_file='train.npz', indices=10_000),
    test=dict(images, ann_file='test.npz'),
)
