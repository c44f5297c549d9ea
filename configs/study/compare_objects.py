"""Positive control: which policies gain by a true map, and how true must it be?

Command:  mmattmask compare configs/study/compare_objects.py
Hardware: CPU, 1 core for every run (docs/study.md has the hours).
"""

suffix = '_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py'
folder = '{{$MMATTMASK_OBJECTS:data/objects_on_scenes}}'


def policy(name, **arguments):
    """Options of another policy on the true map."""
    generator = dict(_delete_=True, type=f'mmattmask.{name}', **arguments)
    return {'model.mask_generator': generator}


def maps(name):
    """Options of other maps, with the policy of the true map."""
    return {'model.scorer.path': f'{folder}/maps_{name}.npy'}


true = 'true-map' + suffix
random_throw = policy('RandomMaskGenerator', mask_ratio=0.25, throw_ratio=0.5)
high = policy('AttMaskGenerator', mode='high', mask_ratio=0.75)
hint = policy(
    'AttMaskGenerator', mode='hint', mask_ratio=0.8, show_max=0.1, show_ratio=0.5
)
runs = dict(
    random=dict(config='random' + suffix, title='random 75'),
    random_throw=dict(
        config='random' + suffix, options=random_throw, title='random 25, throw 50'
    ),
    true=dict(config=true, title='true map, 25, throw low 50'),
    true_am=dict(
        config=true,
        options=policy('AMTMaskGenerator', mask_ratio=0.75, throw_ratio=0.0),
        title='true map, AM 75',
    ),
    true_amt=dict(
        config=true, options=policy('AMTMaskGenerator'), title='true map, AMT 45/40'
    ),
    true_high=dict(config=true, options=high, title='true map, AttMask-High 75'),
    true_hint=dict(config=true, options=hint, title='true map, AttMask-Hint 75'),
    true_soft_to_hard=dict(
        config=true,
        options=policy('SoftToHardMaskGenerator'),
        title='true map, soft to hard 75',
    ),
    auc90=dict(config=true, options=maps('auc90'), title='map of AUC .90, throw low'),
    auc75=dict(config=true, options=maps('auc75'), title='map of AUC .75, throw low'),
    auc60=dict(config=true, options=maps('auc60'), title='map of AUC .60, throw low'),
    # made by `mmattmask maps`, see teacher-map_…_objects-32px.py
    teacher=dict(
        config=true, options=maps('teacher'), title="a real ViT's map, throw low"
    ),
    shuffled=dict(
        config=true, options=maps('shuffled'), title="another image's map, throw low"
    ),
    anti=dict(config=true, options=maps('anti'), title='reversed map, throw low'),
)
baseline = 'random'
control = 'random_throw'
epochs = 6
seeds = (0, 1, 2, 3, 4, 5)
budgets = ('tokens',)
content = dict(images=400)  # of training, which the maps are of
images = dict(type='mmattmask.PackedImages', data_root=folder)
evaluation = dict(
    train=dict(images, ann_file='train.npz'), test=dict(images, ann_file='test.npz')
)
