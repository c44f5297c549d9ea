"""Eight policies on MAE: one small ViT, a part of CIFAR-10, three seeds.

Command:  mmattmask compare configs/study/compare_cifar10.py
Hardware: CPU, 2 cores (docs/study.md has the hours).
"""

suffix = '_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'
runs = dict(
    random=dict(config='random' + suffix, title='random 75'),
    random_throw=dict(config='random-throw' + suffix, title='random 45, throw 40'),
    am=dict(config='am' + suffix, title='AM 75'),
    amt=dict(config='amt' + suffix, title='AMT 45/40'),
    amt_official=dict(config='amt-official' + suffix, title='AMT 45/40, corner crop'),
    attmask_high=dict(config='attmask-high' + suffix, title='AttMask-High 75'),
    attmask_hint=dict(config='attmask-hint' + suffix, title='AttMask-Hint 75'),
    gpa=dict(config='gpa' + suffix, title='GPA soft to hard 75', teacher='random'),
)
baseline = control = 'random'
epochs = 8
seeds = (0, 1, 2)
budgets = ('tokens', 'time')
images = dict(
    type='mmattmask.PackedImages', data_root='{{$MMATTMASK_DATA:data}}/cifar10_full'
)
evaluation = dict(
    train=dict(images, ann_file='train.npz', indices=10_000),
    test=dict(images, ann_file='test.npz'),
    # fine-tuning as well: several times the rest
    # finetune='finetune_vit-tiny-p4_1xb128-coslr-10e_cifar10.py',
)
