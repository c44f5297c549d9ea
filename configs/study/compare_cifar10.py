"""The papers' policies and their controls on MAE: a small ViT, a part of CIFAR-10.

One seed of all of them is the unit of work; verdicts come at 6, 12 and 20 seeds.

Command:  mmattmask compare configs/study/compare_cifar10.py
Hardware: CPU, 2 cores (docs/study.md has the hours).
"""

_base_ = '../_base_/study_cifar10.py'

suffix = '_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'


def policy(title, config, name, scorer=None, **arguments):
    """A run of a config with another policy, and with another scorer."""
    generator = dict(_delete_=True, type=f'mmattmask.{name}', **arguments)
    options = {'model.mask_generator': generator}
    if scorer is not None:
        options['model.scorer'] = scorer
    return dict(config=config, options=options, title=title)


random, am, amt = 'random' + suffix, 'am' + suffix, 'amt' + suffix
debiased = dict(type='mmattmask.CachedAttention', debias='position')
shuffled = dict(
    type='mmattmask.ShuffledMaps', scorer=dict(type='mmattmask.CachedAttention')
)
another = {'model.scorer': shuffled}
centre = dict(type='mmattmask.CenterPrior')
contrast = dict(type='mmattmask.PatchContrast')
thrown = dict(mask_ratio=0.25, throw_ratio=0.5)
quarter = dict(thrown, name='AMTMaskGenerator', throw='low')
masked = dict(mask_ratio=0.75)
runs = dict(
    random=dict(config=random, title='random 75'),
    random_throw=dict(config='random-throw' + suffix, title='random 45, throw 40'),
    am=dict(config=am, title='AM 75'),
    amt=dict(config=amt, title='AMT 45/40'),
    amt_official=dict(config='amt-official' + suffix, title='AMT 45/40, corner crop'),
    attmask_high=dict(config='attmask-high' + suffix, title='AttMask-High 75'),
    attmask_hint=dict(config='attmask-hint' + suffix, title='AttMask-Hint 75'),
    gpa=dict(config='gpa' + suffix, title='GPA soft to hard 75', teacher='random'),
    attmask_low=policy('AttMask-Low 75', am, 'AttMaskGenerator', mode='low', **masked),
    hpm=dict(config='hpm' + suffix, title='HPM half hard 75'),
    block=policy('blocks 75', random, 'BlockMaskGenerator', **masked),
    noise=policy('green noise 75', random, 'ColorNoiseMaskGenerator', **masked),
    # the same masks by the map of another image: what is left is places
    am_shuffled=dict(config=am, options=another, title="AM 75, another image's"),
    amt_shuffled=dict(config=amt, options=another, title="AMT 45/40, another image's"),
    # what the positive control chose, by attention and by what costs nothing
    throw_low=policy('attention, 25, throw low 50', am, **quarter),
    throw_low_debiased=policy(
        'attention without its place, 25, throw low 50', am, scorer=debiased, **quarter
    ),
    centre=policy('centre prior, 25, throw low 50', random, scorer=centre, **quarter),
    contrast=policy('contrast, 25, throw low 50', random, scorer=contrast, **quarter),
    # what compare_recipe.py chose, on seeds of its own
    recipe=dict(
        config='recipe' + suffix, title='random 45, throw 40, errors by contrast'
    ),
    random_quarter=policy(
        'random 25, throw 50', random, 'RandomMaskGenerator', **thrown
    ),
)
baseline = control = 'random'
epochs = 8
seeds = tuple(range(12))
budgets = ('tokens',)  # and 'time', at twice the cost
# Gate A: does a score tell an image from another one? 226 photographs with masks.
content = dict(index='{{$MMATTMASK_DATA:data}}/fg_masks/index.csv')
# finetune='finetune_vit-tiny-p4_1xb128-coslr-10e_cifar10.py': several times the rest
evaluation = dict(train=_base_.study.train, test=_base_.study.test)
