"""AttMask's policies and their controls on iBOT: the study's ViT and images.

Masks hide none of half of the views and 10 to 50 % of the others; Hint shows up to a
tenth of the patches again.

Not run yet: the epochs that a CPU has time for are too few (docs/study.md).

Command:  mmattmask compare configs/study/compare_ibot.py
Hardware: 1 GPU.
"""

_base_ = './compare_cifar10.py'

teacher = dict(type='mmattmask.TeacherAttention')
shuffled = dict(type='mmattmask.ShuffledMaps', scorer=teacher)


def ibot(title, **options):
    """A run of iBOT with options of its model."""
    config = 'ibot_vit-tiny-p4_1xb32-coslr-8e_cifar10.py'
    options = {f'model.{name}': value for name, value in options.items()}
    return dict(config=config, title=title, host='iBOT', options=options)


def attmask(title, mode, scorer=teacher, **arguments):
    """A run with masks by the attention of the EMA teacher."""
    generator = dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode=mode,
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
        **arguments,
    )
    return ibot(title, mask_generator=generator, scorer=scorer)


runs = dict(
    _delete_=True,
    random=ibot('random', mask_generator=dict(shape='random')),
    block=ibot('blocks'),
    high=attmask('AttMask-High', 'high'),
    hint=attmask('AttMask-Hint', 'hint', show_max=0.1),
    high_shuffled=attmask("AttMask-High, another image's", 'high', shuffled),
    low=attmask('AttMask-Low', 'low'),
)
epochs = 100
seeds = tuple(range(6))
budgets = ('images',)  # masks leave the tokens as they are
