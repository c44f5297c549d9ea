"""Random masks of 45 %, random throwing of 40 %, errors weighted by contrast.

What compare_recipe.py chose; docs/recipe.md says what came of it.

Command:  CONFIG=configs/study/recipe_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './random-throw_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(scorer=dict(type='mmattmask.PatchContrast'), score_weight=1.0)
