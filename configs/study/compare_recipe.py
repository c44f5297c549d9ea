"""Candidates for a recipe: masks and weights of errors, by a ViT's map and by contrast.

These seeds choose one of them; compare_cifar10.py judges it on others. The maps come
from teacher-map_vit-tiny-p4_1xb64-coslr-8e_cifar10.py.

Command:  mmattmask compare configs/study/compare_recipe.py
Hardware: CPU, 1 core for every run (docs/study.md has the hours).
"""

_base_ = './compare_cifar10.py'

config = 'random' + _base_.suffix


def arm(title, scorer, name, **arguments):
    """A score and what is made of it."""
    generator = dict(_delete_=True, type=f'mmattmask.{name}', **arguments)
    options = {'model.scorer': scorer, 'model.mask_generator': generator}
    return dict(config=config, options=options, title=title)


def weighted(title, scorer, weight):
    """Random masks and throwing; the score weights the errors."""
    options = {'model.scorer': scorer, 'model.score_weight': weight}
    return dict(config='random-throw' + _base_.suffix, options=options, title=title)


vit = dict(type='mmattmask.UserMaps', path='work_dirs/maps_teacher_cifar10.npy')
contrast, quarter = _base_.contrast, _base_.quarter
amt_low = dict(quarter, mask_ratio=0.45, throw_ratio=0.4)
hint = dict(mode='hint', mask_ratio=0.8, show_max=0.1, show_ratio=0.5)
soft_to_hard = 'SoftToHardMaskGenerator'
runs = dict(
    _delete_=True,
    random=_base_.runs.random,
    random_throw=_base_.runs.random_throw,
    vit_quarter=arm("a ViT's map, 25, throw low 50", vit, **quarter),
    vit_low=arm("a ViT's map, 45, throw low 40", vit, **amt_low),
    vit_amt=arm("a ViT's map, AMT 45/40", vit, 'AMTMaskGenerator'),
    vit_soft=arm("a ViT's map, soft to hard 75", vit, soft_to_hard),
    vit_hint=arm("a ViT's map, AttMask-Hint 75", vit, 'AttMaskGenerator', **hint),
    contrast_low=arm('contrast, 45, throw low 40', contrast, **amt_low),
    contrast_soft=arm('contrast, soft to hard 75', contrast, soft_to_hard),
    vit_weight=weighted("random 45/40, errors by a ViT's map", vit, 1.0),
    vit_half=weighted("random 45/40, half of the errors by a ViT's map", vit, 0.5),
    contrast_weight=weighted('random 45/40, errors by contrast', contrast, 1.0),
)
control = 'random_throw'
seeds = (100, 101, 102)
