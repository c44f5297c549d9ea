"""Candidates for a recipe: by a real ViT's map, and by what costs nothing.

These seeds choose one of them; compare_cifar10.py judges it on others. The maps come
from teacher-map_vit-tiny-p4_1xb64-coslr-8e_cifar10.py.

Command:  mmattmask compare configs/study/compare_recipe.py
Hardware: CPU, 1 core for every run (docs/study.md has the hours).
"""

_base_ = './compare_cifar10.py'

suffix = '_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'


def arm(title, scorer, policy, **arguments):
    """A score and what is made of it."""
    generator = dict(_delete_=True, type=f'mmattmask.{policy}', **arguments)
    options = {'model.scorer': scorer, 'model.mask_generator': generator}
    return dict(config='random' + suffix, options=options, title=title)


vit = dict(type='mmattmask.UserMaps', path='work_dirs/maps_teacher_cifar10.npy')
contrast = dict(type='mmattmask.PatchContrast')
quarter = dict(mask_ratio=0.25, throw_ratio=0.5, throw='low')
low = dict(mask_ratio=0.45, throw_ratio=0.4, throw='low')
hint = dict(mode='hint', mask_ratio=0.8, show_max=0.1, show_ratio=0.5)
amt, soft_to_hard = 'AMTMaskGenerator', 'SoftToHardMaskGenerator'
runs = dict(
    _delete_=True,
    random=dict(config='random' + suffix, title='random 75'),
    random_throw=dict(config='random-throw' + suffix, title='random 45, throw 40'),
    vit_quarter=arm("a ViT's map, 25, throw low 50", vit, amt, **quarter),
    vit_low=arm("a ViT's map, 45, throw low 40", vit, amt, **low),
    vit_amt=arm("a ViT's map, AMT 45/40", vit, amt),
    vit_soft=arm("a ViT's map, soft to hard 75", vit, soft_to_hard),
    vit_hint=arm("a ViT's map, AttMask-Hint 75", vit, 'AttMaskGenerator', **hint),
    contrast_low=arm('contrast, 45, throw low 40', contrast, amt, **low),
    contrast_soft=arm('contrast, soft to hard 75', contrast, soft_to_hard),
)
control = 'random_throw'
seeds = (100, 101, 102)
