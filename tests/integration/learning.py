"""Every host with a guided policy: what one step learns, in this or other processes.

Run as a module it is one rank of two: python -m tests.integration.learning OUT KIND.
"""

import copy
import os
from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmattmask.models import IBOTLoss
from mmattmask.models.guidance import guidance_of
from mmattmask.scorers import CachedAttention
from mmattmask.scorers.ema_teacher import teachers_of
from tests.tiny_hosts import HOSTS, VIT, guided_types

AM = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0)
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.3)
HIGH = dict(type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=0.5)
HARD = dict(type='mmattmask.SoftToHardMaskGenerator', mask_ratio=0.5)
CACHED = dict(type='mmattmask.CachedAttention')
ONLINE = dict(
    type='mmattmask.FrozenTeacher',
    backbone=dict(
        type='VisionTransformer',
        arch=VIT,
        img_size=32,
        patch_size=8,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.1),
    ),
    block=1,
    head=1,
)
ONE_NORM = dict(type='LN', eps=1e-6)  # LUT: SyncBN needs a GPU in two processes


class Bank:
    """Stands in for a bank: a map of 4 x 4 for each image, from its number."""

    def look_up(self, ids, device, keep):
        noise = [
            torch.rand(4, 4, generator=torch.Generator().manual_seed(int(i)))
            for i in ids
        ]
        return torch.stack(noise).to(device)


def retyped(name: str, **more: Any) -> Callable[..., Any]:
    change = guided_types(algorithm=name)
    return lambda *args: {**change(*args), **more}


def made(name: str, policy: dict, scorer: dict | None = None, change: Any = None):
    def build(seed: int = 0) -> nn.Module:
        host = HOSTS[name]
        if change is not None:
            host = type(host)(host.stock, change, host.size, host.cell)
        model = host.build(policy, scorer, seed).train()
        if model.target_generator is not None:  # DDP would wait for its gradients
            model.target_generator.requires_grad_(False)
        own = guidance_of(model).scorer
        if isinstance(own, CachedAttention):
            own.bank = Bank()
        return model

    return build


CASES = {
    'MAE, AMT': made('MAE', AMT, CACHED),
    'MAE, AM': made('MAE', AM, CACHED),
    'MAE, online teacher': made('MAE', HARD, ONLINE),
    'MFF': made('MFF', AMT, CACHED),
    'EVA': made('EVA (MAE style)', AMT, CACHED),
    'MAE-HiViT': made('MAE-HiViT', AM),
    'ConvMAE': made('ConvMAE', AMT),
    'MILAN': made('MILAN', AM, CACHED),
    'SimMIM (ViT)': made('SimMIM (ViT)', AMT, CACHED),
    'SimMIM (Swin)': made('SimMIM (Swin)', HIGH),
    'MaskFeat': made('MaskFeat', HIGH),
    'BEiT': made('BEiT', HIGH, CACHED),
    'CAE': made('CAE', HIGH, CACHED),
    'iBOT': made('iBOT', HIGH),
    'GPA, decoder': made('MAE', HARD, CACHED, retyped('ScorePredictingMAE')),
    'HPM': made(
        'MAE', HARD, dict(type='mmattmask.PredictedLoss'), retyped('GuidedMAE')
    ),
    'LUT': made('MAE', AM, None, retyped('LUT', hid_channels=16, norm_cfg=ONE_NORM)),
}


def batch_of(case: str, seed: int = 0, number: int = 4) -> dict[str, Any]:
    """A batch whose metainfo differs from seed to seed."""
    name = {'GPA, decoder': 'MAE', 'HPM': 'MAE', 'LUT': 'MAE', 'EVA': 'MAE'}.get(
        case, case.split(',')[0]
    )
    batch = HOSTS[name].batch(number)
    generator = torch.Generator().manual_seed(seed)
    for index, sample in enumerate(batch['data_samples']):
        sample.set_metainfo(dict(sample_idx=7 * seed + index))
        if case != 'iBOT':
            sample.set_metainfo(dict(crop_box=(1.0 + seed, 2.0, 20.0, 30.0)))
    if case == 'LUT':
        views = [batch['inputs'], batch['inputs'].flip(-1)]
        batch['inputs'] = views
    if isinstance(batch['inputs'], Tensor):
        order = torch.randperm(number, generator=generator)
        batch['inputs'] = batch['inputs'][order]
    return batch


def total(model: nn.Module, losses: dict[str, Tensor]) -> Tensor:
    return sum(value for name, value in losses.items() if 'loss' in name)


def loss_of(model: Any, batch: Any, seed: int = 3, call: Any = None) -> Tensor:
    """The loss of a batch, from the same random numbers."""
    torch.manual_seed(seed)
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return total(model, (call or model)(**data, mode='loss'))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name.replace('_fsdp_wrapped_module.', ''): value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }


def learn(model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of one batch."""
    loss = loss_of(model, batch)
    loss.backward()
    return loss.detach(), gradients(model)


def move_centers(model: nn.Module) -> None:
    """Do what EMATeacherHook does for iBOT."""
    for module in model.modules():
        if isinstance(module, IBOTLoss):
            module.move_centers()


def train(model: nn.Module, batches: Any, step: Any = None, count: int = 1) -> dict:
    """Weights, teacher included, after some steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    wrapper = OptimWrapper(optimizer, accumulative_counts=count)
    for index, batch in enumerate(batches):
        torch.manual_seed(index)
        (step or model.train_step)(copy.deepcopy(batch), wrapper)
        if (index + 1) % count == 0:
            for teacher in teachers_of(model):
                teacher.move(0.3)
            move_centers(model)
    return {name: value.clone() for name, value in model.state_dict().items()}


def rank(out: str, kind: str) -> None:
    """Save loss and gradients of each case on this rank's half of a batch."""
    number = int(os.environ['RANK'])
    torch.distributed.init_process_group('gloo')
    results = {}
    for case, build in CASES.items():
        model = build()
        if kind == 'fsdp' and teachers_of(model):
            continue
        torch.manual_seed(3)
        data = model.data_preprocessor(batch_of(case, seed=number), True)
        try:
            if kind == 'ddp':
                wrapped = nn.parallel.DistributedDataParallel(model)
            else:
                from torch.distributed.fsdp import FullyShardedDataParallel

                wrapped = FullyShardedDataParallel(
                    model, use_orig_params=True, device_id=torch.device('cpu')
                )
            loss = total(model, wrapped(**data, mode='loss'))
            loss.backward()
            grads = gradients(model)
            if kind == 'fsdp':
                grads = gathered(grads)
            results[case] = (loss.detach(), grads)
        except Exception as error:
            results[case] = f'{type(error).__name__}: {error}'
    torch.save(results, f'{out}.{number}')
    torch.distributed.destroy_process_group()


def gathered(grads: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join the flat shards of all ranks."""
    whole = {}
    shards: list[Any] = [None, None]
    torch.distributed.all_gather_object(
        shards, {k: v.flatten() for k, v in grads.items()}
    )
    for name in sorted(set(shards[0]) | set(shards[1])):
        parts = [shard[name] for shard in shards if name in shard]
        whole[name] = torch.cat(parts)
    return whole
