"""What the table leaves, for longer: all 50 000 images of CIFAR-10, 20 epochs.

The recipe, its controls, and AM and AMT, whose attention may find content by then.
Labelled images are those of the table.

Command:  mmattmask compare configs/study/compare_long.py
Hardware: CPU, 1 core for every run (docs/study.md has the hours).
"""

_base_ = './compare_cifar10.py'

runs = dict(_delete_=True)
for name in ('random', 'random_throw', 'am', 'amt', 'recipe'):
    runs[name] = {**_base_.runs[name]}
    runs[name]['options'] = {'train_dataloader.dataset.indices': 50_000}
del name
epochs = 20
seeds = tuple(range(6))
