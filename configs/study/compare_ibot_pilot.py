"""At which settings does iBOT learn in a few CPU minutes? One seed; it judges nothing.

All have 3 epochs; `longer` has 8 (`--runs longer --cfg-options epochs=8`).

Command:  mmattmask compare configs/study/compare_ibot_pilot.py
Hardware: CPU, 1 core for every run (docs/study.md has the minutes).
"""

_base_ = './compare_ibot.py'


def arm(title, lr, **options):
    """A learning rate, and what else differs from the config."""
    config = 'ibot_vit-tiny-p4_1xb32-coslr-8e_cifar10.py'
    options['optim_wrapper.optimizer.lr'] = lr
    return dict(config=config, title=title, host='iBOT', options=options)


warmer = {'custom_hooks.1.temp': 0.07}
six_views = {'train_dataloader.dataset.pipeline.0.num_views': [1, 1, 6]}
runs = dict(
    _delete_=True,
    random=arm('untrained', 0.0),
    low=arm('lr 3e-4', 3e-4),
    views=arm('lr 3e-4, six small views', 3e-4, **six_views),
    middle=arm('lr 1e-3', 1e-3),
    warm=arm('lr 1e-3, teacher of 0.07', 1e-3, **warmer),
    high=arm('lr 2e-3', 2e-3),
    longer=arm('lr 5e-4, 8 epochs', 5e-4),
)
epochs = 3
seeds = (100,)
content = None
