"""A student with a weight-normalised last layer, and iBOT's recipe to train it."""

import copy
from functools import partial
from itertools import pairwise

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import Dataset

EPOCH = 5  # iterations of an epoch


@DATASETS.register_module()
class ToyRows(Dataset):
    """Random rows of 4 numbers; some of them nan."""

    def __init__(self, bad=()):
        generator = torch.Generator().manual_seed(1)
        self.rows = torch.randn(4 * EPOCH, 4, generator=generator)
        self.rows[list(bad)] = torch.nan

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return dict(inputs=self.rows[index])


@MODELS.register_module()
class ToyStudent(BaseModel):
    """A head behind tokens that have more than one dimension, and a frozen teacher."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, 6))
        self.mlp = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU())
        self.last_layer = weight_norm(nn.Linear(6, 3, bias=False))
        self.teacher = copy.deepcopy(self.mlp).requires_grad_(False)

    def forward(self, inputs, data_samples=None, mode='loss'):
        tokens = self.mlp(inputs) + self.cls_token[0] + self.teacher(inputs)
        return dict(loss=10 * self.last_layer(tokens).square().mean())


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@HOOKS.register_module()
class TapeHook(Hook):
    """Record gradients as they come out of backward, and the weights between steps."""

    def before_train(self, runner):
        runner.tape, self.grads = self, []
        self.weights = [weights_of(runner.model)]
        for name, parameter in runner.model.named_parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(partial(self.record, name))

    def record(self, name, parameter):
        self.grads[-1][name] = parameter.grad.clone()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.grads.append({})

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(weights_of(runner.model))

    @property
    def changed(self):
        """The parameters that each iteration changed."""
        steps = pairwise(self.weights)
        return [
            {n for n in new if not torch.equal(new[n], old[n])} for old, new in steps
        ]


def recipe(work_dir, **changes):
    """Return the config of a run of 3 epochs; ``changes`` have __ for dots."""
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            model=dict(type='ToyStudent'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='default_collate'),
                dataset=dict(type='ToyRows'),
            ),
            optim_wrapper=dict(
                type='mmattmask.PerTensorClipOptimWrapper',
                constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
                clip_grad=dict(max_norm=0.3),
                optimizer=dict(type='AdamW', lr=0.02, weight_decay=0.04),
            ),
            param_scheduler=[
                # starts at 0, which LinearLR cannot divide by
                dict(
                    type='LinearLR',
                    start_factor=1e-20,
                    end=1,
                    convert_to_iter_based=True,
                ),
                dict(
                    type='CosineAnnealingLR',
                    begin=1,
                    eta_min=1e-6,
                    convert_to_iter_based=True,
                ),
                dict(
                    type='mmpretrain.CosineAnnealingWeightDecay',
                    eta_min=0.4,
                    convert_to_iter_based=True,
                ),
            ],
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1),
                logger=dict(type='LoggerHook', interval=1),
            ),
            custom_hooks=[
                dict(type='mmattmask.FreezeLastLayerHook'),
                dict(type='mmattmask.FiniteLossHook', interval=4),
            ],
            env_cfg=dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)),
            randomness=dict(seed=3),
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
    return cfg
