"""The papers' policies and their controls on MAE: a small ViT, a part of CIFAR-10.

One seed of all of them is the unit of work; verdicts come at 6, 12 and 20 seeds.

Command:  mmattmask compare configs/study/compare_cifar10.py
Hardware: CPU, 2 cores (docs/study.md has the hours).
"""

suffix = '_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'
random, am, amt = 'random' + suffix, 'am' + suffix, 'amt' + suffix


def policy(name, scorer=None, **arguments):
    """Options of another policy, and of another scorer."""
    generator = dict(_delete_=True, type=f'mmattmask.{name}', **arguments)
    options = {'model.mask_generator': generator}
    if scorer is not None:
        options['model.scorer'] = dict(type=f'mmattmask.{scorer}')
    return options


throw_low = dict(mask_ratio=0.25, throw_ratio=0.5, throw='low')
runs = dict(
    random=dict(config=random, title='random 75'),
    random_throw=dict(config='random-throw' + suffix, title='random 45, throw 40'),
    am=dict(config=am, title='AM 75'),
    amt=dict(config=amt, title='AMT 45/40'),
    amt_official=dict(config='amt-official' + suffix, title='AMT 45/40, corner crop'),
    attmask_high=dict(config='attmask-high' + suffix, title='AttMask-High 75'),
    attmask_hint=dict(config='attmask-hint' + suffix, title='AttMask-Hint 75'),
    gpa=dict(config='gpa' + suffix, title='GPA soft to hard 75', teacher='random'),
    attmask_low=dict(
        config=am,
        options=policy('AttMaskGenerator', mode='low', mask_ratio=0.75),
        title='AttMask-Low 75',
    ),
    hpm=dict(config='hpm' + suffix, title='HPM half hard 75'),
    block=dict(
        config=random,
        options=policy('BlockMaskGenerator', mask_ratio=0.75),
        title='blocks 75',
    ),
    noise=dict(
        config=random,
        options=policy('ColorNoiseMaskGenerator', mask_ratio=0.75),
        title='green noise 75',
    ),
    # what the positive control chose, by attention and by what costs nothing
    throw_low=dict(
        config=am,
        options=policy('AMTMaskGenerator', **throw_low),
        title='attention, 25, throw low 50',
    ),
    throw_low_debiased=dict(
        config=am,
        options={
            **policy('AMTMaskGenerator', **throw_low),
            'model.scorer.debias': 'position',
        },
        title='attention without its place, 25, throw low 50',
    ),
    centre=dict(
        config=random,
        options=policy('AMTMaskGenerator', 'CenterPrior', **throw_low),
        title='centre prior, 25, throw low 50',
    ),
    contrast=dict(
        config=random,
        options=policy('AMTMaskGenerator', 'PatchContrast', **throw_low),
        title='contrast, 25, throw low 50',
    ),
    # what compare_recipe.py chose, on seeds of its own
    recipe=dict(
        config=random,
        options=policy(
            'AMTMaskGenerator',
            'PatchContrast',
            mask_ratio=0.45,
            throw_ratio=0.4,
            throw='low',
        ),
        title='contrast, 45, throw low 40',
    ),
    random_quarter=dict(
        config=random,
        options=policy('RandomMaskGenerator', mask_ratio=0.25, throw_ratio=0.5),
        title='random 25, throw 50',
    ),
)
baseline = control = 'random'
epochs = 8
seeds = tuple(range(12))
budgets = ('tokens',)  # and 'time', at twice the cost
images = dict(
    type='mmattmask.PackedImages', data_root='{{$MMATTMASK_DATA:data}}/cifar10_full'
)
# Gate A: does a score tell an image from another one? 226 photographs with masks.
content = dict(index='{{$MMATTMASK_DATA:data}}/fg_masks/index.csv')
evaluation = dict(
    train=dict(images, ann_file='train.npz', indices=10_000),
    test=dict(images, ann_file='test.npz'),
    # fine-tuning as well: several times the rest
    # finetune='finetune_vit-tiny-p4_1xb128-coslr-10e_cifar10.py',
)
