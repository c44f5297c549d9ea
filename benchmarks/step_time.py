"""Step time of guided MAE beside stock MAE, variants interleaved in one process.

    python benchmarks/step_time.py --batch-size 16 --rounds 12            # CPU
    python benchmarks/step_time.py --device cuda --batch-size 256 --amp   # GPU
    python benchmarks/step_time.py --set gpa --batch-size 8      # GPA, HPM, LUT
    python benchmarks/step_time.py --set simmim --batch-size 8   # AMT on SimMIM
    python benchmarks/step_time.py --set policies --arch small   # other policies

A step is forward, backward and an AdamW update on random images. Every round runs each
variant once; the table gives medians over rounds and the median of the ratios to the
first variant, the stock one, of the same round.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import mmpretrain
import numpy as np
import torch
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.reporting.machine import machine
from mmattmask.scorers import AttentionBank, BankHeader, BankWriter

STOCK = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'
ARCHS = {
    # name: backbone arch, embed_dim
    'tiny': ('deit-tiny', 192),
    'small': ('deit-small', 384),
    'base': ('b', 768),
    'large': ('l', 1024),
}
SIMMIM_ARCHS = {
    'tiny': dict(embed_dims=192, num_layers=12, num_heads=3, feedforward_channels=768),
    'small': dict(
        embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536
    ),
    'base': 'base',
    'large': 'large',
}
# share of masked and thrown cells
SIMMIM = {'60/0': (0.6, 0.0), '44/26': (0.44, 0.26), '33/50': (0.33, 0.5)}
NUM_IMAGES = 4096
SETS = ('amt', 'gpa', 'simmim', 'policies')


def build(arch: str, changes: dict | None):
    """Build the stock model, or a guided one with a policy."""
    if changes is not None and changes.get('type') == 'mmattmask.GuidedSimMIM':
        changes['backbone']['arch'] = SIMMIM_ARCHS[arch]
        return initialised(changes)
    model = get_config(STOCK).model
    model.backbone.arch, model.neck.embed_dim = ARCHS[arch]
    if changes is not None:
        model.type = 'mmattmask.GuidedMAE'
        model.backbone.type = 'mmattmask.GuidedMAEViT'
        model.neck.type = 'mmattmask.GuidedMAEDecoder'
        model.update(changes)
    return initialised(model)


def initialised(config):
    """Build a model from fixed seeds."""
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model


def make_bank(folder: str) -> AttentionBank:
    """Write random maps at 14 x 14."""
    header = BankHeader(NUM_IMAGES, (14, 14), 'float16', 'random', 'random')
    writer = BankWriter(Path(folder) / 'random.bank', header)
    maps = np.random.default_rng(0).random((NUM_IMAGES, 14, 14))
    writer.write(np.arange(NUM_IMAGES), maps)
    writer.finish()
    return AttentionBank(writer.path)


def make_samples(count: int) -> list[DataSample]:
    """Make views with random crops and flips."""
    rng = np.random.default_rng(1)
    samples = []
    for index in rng.integers(0, NUM_IMAGES, count):
        top, left = rng.integers(0, 100, 2)
        flip = bool(rng.integers(2))
        meta = dict(
            sample_idx=int(index),
            ori_shape=(375, 500),
            crop_box=(float(top), float(left), 250.0, 300.0),
            flip=flip,
            flip_direction='horizontal' if flip else None,
        )
        samples.append(DataSample(metainfo=meta))
    return samples


def simmim(mask_ratio: float, throw_ratio: float) -> dict:
    """Return the config of SimMIM with absolute positions, AMT's choice."""
    return dict(
        type='mmattmask.GuidedSimMIM',
        backbone=dict(
            type='mmattmask.SimMIMViT',
            img_size=224,
            patch_size=16,
            drop_path_rate=0.1,
            use_abs_pos_emb=True,
            use_shared_rel_pos_bias=False,
        ),
        neck=dict(type='SimMIMLinearDecoder'),
        head=dict(
            type='SimMIMHead',
            loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
        ),
        scorer=dict(type='mmattmask.CachedAttention'),
        mask_generator=dict(
            type='mmattmask.AMTMaskGenerator',
            mask_ratio=mask_ratio,
            throw_ratio=throw_ratio,
            rounding='up',
        ),
    )


def policies(args) -> dict[str, dict | None]:
    """Return the variants of a set, stock MAE first: changes of the model."""
    if args.set == 'simmim':
        return {f'SimMIM {name}': simmim(*ratios) for name, ratios in SIMMIM.items()}
    stock = {'stock MAE 75': None}
    if args.set == 'gpa':
        soft_to_hard = dict(type='mmattmask.SoftToHardMaskGenerator')
        teacher = dict(
            type='mmattmask.FrozenTeacher',
            # random weights take the same time
            backbone=dict(
                type='VisionTransformer',
                arch='b',
                patch_size=16,
                init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
            ),
        )
        gpa = dict(mask_generator=soft_to_hard, scorer=teacher)
        random = dict(type='mmattmask.RandomMaskGenerator')
        return stock | {
            'GPA cached': gpa | dict(scorer=teacher | dict(cached=True)),
            'GPA online': gpa,
            'GPA online + attention decoder': gpa
            | dict(type='mmattmask.ScorePredictingMAE'),
            'HPM': dict(
                mask_generator=soft_to_hard, scorer=dict(type='mmattmask.PredictedLoss')
            ),
            'LUT': dict(type='mmattmask.LUT', mask_generator=random),
        }
    amt = dict(type='mmattmask.AMTMaskGenerator')
    cached = dict(type='mmattmask.CachedAttention')
    if args.set == 'policies':
        return stock | other_policies(amt | dict(mask_ratio=0.75, throw_ratio=0.0))
    thrown = amt | dict(mask_ratio=0.45, throw_ratio=0.40)
    return stock | {
        'guided, random 75': dict(
            mask_generator=dict(type='mmattmask.RandomMaskGenerator')
        ),
        'AM 75/0': dict(
            mask_generator=amt | dict(mask_ratio=0.75, throw_ratio=0.0), scorer=cached
        ),
        'AMT 45/40, throws the least': dict(
            mask_generator=thrown | dict(throw='low'), scorer=cached
        ),
        'AMT 45/40': dict(mask_generator=thrown, scorer=cached),
    }


def other_policies(am: dict) -> dict[str, dict]:
    """Return what the papers compare with, three quarters masked by each."""
    random = dict(type='mmattmask.RandomMaskGenerator')
    uniform = dict(type='mmattmask.UniformMaskGenerator')
    contrast = dict(type='mmattmask.PatchContrast')
    kinds = dict(
        block=dict(type='mmattmask.BlockMaskGenerator', mask_ratio=0.75),
        noise=dict(type='mmattmask.ColorNoiseMaskGenerator'),
    )
    cached = dict(type='mmattmask.CachedAttention')
    return {
        'random': dict(mask_generator=random),
        'blocks': dict(mask_generator=kinds['block']),
        'green noise': dict(mask_generator=kinds['noise']),
        'uniform': dict(mask_generator=uniform),
        'uniform, by the score': dict(
            mask_generator=uniform | dict(show='least'), scorer=cached
        ),
        'first drawn visible': dict(
            mask_generator=am | dict(first='visible'), scorer=cached
        ),
        'random, errors weighted': dict(
            mask_generator=random, scorer=cached, score_weight=1.0
        ),
        'AM, centre prior': dict(
            mask_generator=am, scorer=dict(type='mmattmask.CenterPrior')
        ),
        'AM, contrast': dict(mask_generator=am, scorer=contrast),
        'AdaMAE': dict(
            mask_generator=am | dict(first='visible'),
            scorer=dict(type='mmattmask.LearnedSampler'),
        ),
    }


class Variant:
    """A model with its optimizer and the times of its steps."""

    def __init__(self, name, model, args):
        self.name = name
        self.model = model.to(args.device).train()
        self.optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=args.fused)
        self.times: list[float] = []

    def advance(self, inputs, samples, args):
        """Make one training step."""
        self.optimizer.zero_grad()
        self.backward(inputs, samples, args)
        self.optimizer.step()

    def backward(self, inputs, samples, args):
        """Compute the gradients of a step."""
        if type(self.model).__name__ == 'LUT':
            inputs = [inputs, inputs.flip(-1)]
        with autocast(args):
            losses = self.model(inputs, samples, mode='loss')
        sum(losses.values()).backward()

    def step(self, inputs, samples, args):
        """Run and time one training step."""
        self.times.append(seconds(lambda: self.advance(inputs, samples, args), args))


def flops(function, inputs, samples, *args):
    """Count what a function computes for an image, attention included."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function(inputs[:2], samples[:2], *args)
    return counter.get_total_flops() / 2


def autocast(args):
    """bf16 where asked for."""
    if not args.amp:
        return contextlib.nullcontext()
    return torch.autocast(args.device, torch.bfloat16)


def synchronize(args):
    """Wait for the device."""
    if args.device == 'cuda':
        torch.cuda.synchronize()


def seconds(function, args):
    """Time a call of a function."""
    clock = time.process_time if args.cpu_time else time.perf_counter
    synchronize(args)
    start = clock()
    function()
    synchronize(args)
    return clock() - start


def median_time(function, args, rounds):
    """Time a function."""
    return statistics.median(seconds(function, args) for _ in range(rounds))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--set', default='amt', choices=SETS)
    parser.add_argument('--only', nargs='+', help='these beside stock MAE: less memory')
    parser.add_argument('--arch', default='base', choices=ARCHS)
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--rounds', type=int, default=12)
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--threads', type=int)
    parser.add_argument('--amp', action='store_true', help='bf16 autocast')
    parser.add_argument(
        '--cpu-time',
        action='store_true',
        help='seconds of this process on the CPU: for busy machines, with one thread',
    )
    parser.add_argument('--epochs', type=int, default=400)
    parser.add_argument('--interval', type=int, default=40)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.fused = args.device == 'cuda'
    init_default_scope('mmpretrain')

    with tempfile.TemporaryDirectory() as folder:
        bank = make_bank(folder)
        variants = [
            Variant(name, give_bank(build(args.arch, changes), bank), args)
            for name, changes in policies(args).items()
            if changes is None or not args.only or name in args.only
        ]
        inputs = torch.randn(args.batch_size, 3, 224, 224, device=args.device)
        samples = make_samples(args.batch_size)
        take_turns(variants, inputs, samples, args)
        report(args, variants, inputs, samples)


def give_bank(model, bank):
    """Give maps to a model that looks them up, and return it."""
    guidance = guidance_of(model)
    if guidance is not None and guidance.scorer and guidance.scorer.cached:
        guidance.scorer.bank = bank
    return model


def take_turns(variants, inputs, samples, args):
    """Time the variants' steps, one after the other in every round."""
    for round_ in range(args.warmup + args.rounds):
        first = round_ % len(variants)
        for variant in variants[first:] + variants[:first]:
            variant.step(inputs, samples, args)
    for variant in variants:
        del variant.times[: args.warmup]


def report(args, variants, inputs, samples):
    """Measure guidance and refresh, then print."""
    print(
        f'\nViT-{args.arch}, batch {args.batch_size}, {machine()}, '
        f'{"bf16 autocast" if args.amp else "fp32"}, '
        f'{"CPU time, " if args.cpu_time else ""}mmpretrain {mmpretrain.__version__}, '
        f'{args.rounds} rounds\n'
    )
    stock, amt = variants[0], variants[-1]
    targets = {
        'AMT 45/40': '<= 0.63',
        'guided, random 75': '1.00',
        'GPA cached': '<= 1.05',
        'GPA online': '<= 1.46 (paper: 1.1)',
        'GPA online + attention decoder': '<= 1.6',
        'HPM': '<= 1.9',
        'LUT': '<= 2.2',
        'SimMIM 44/26': '<= 0.75 (paper: 0.76)',
        'SimMIM 33/50': '<= 0.53 (paper: 0.62)',
    }
    print(
        '| policy | step, s (median) | ratio to stock (median) | range | its FLOPs '
        '| target |'
    )
    print('|---|---|---|---|---|---|')
    computed = {v.name: flops(v.backward, inputs, samples, args) for v in variants}
    for variant in variants:
        ratios = [a / b for a, b in zip(variant.times, stock.times, strict=True)]
        print(
            f'| {variant.name} | {statistics.median(variant.times):.3f} '
            f'| {statistics.median(ratios):.3f} '
            f'| {min(ratios):.2f}..{max(ratios):.2f} '
            f'| {computed[variant.name] / computed[stock.name]:.2f} '
            f'| {targets.get(variant.name, "")} |'
        )
    if args.set != 'amt':
        return
    step = statistics.median(amt.times)
    stock_step = statistics.median(stock.times)
    guidance, random = (
        median_time(lambda g=variant.model.guidance: g.guide(inputs, samples), args, 30)
        for variant in (amt, variants[1])
    )
    amt.model.eval()
    with torch.no_grad(), autocast(args):
        attention = median_time(
            lambda: attention_maps(amt.model, inputs), args, max(3, args.rounds // 2)
        )
        refresh = flops(lambda x, _: attention_maps(amt.model, x), inputs, samples)
    refreshes = (args.epochs - 1) // args.interval
    times = refreshes / args.epochs
    shares = [times * attention / whole for whole in (step, stock_step)]
    limits = [times * refresh / computed[v.name] for v in (amt, stock)]
    print('\n| cost | measured | target |')
    print('|---|---|---|')
    print(
        f'| look-up + crop + partition of a batch, of an AMT step '
        f'| {guidance / step:.2%} ({guidance * 1e3:.1f} ms) | <= 1 % |'
    )
    print(
        f'| the same without a score (random partition), of a step '
        f'| {random / step:.2%} | |'
    )
    print(
        f'| {refreshes} refreshes of {args.epochs} epochs, model time only, of the AMT '
        f'run (of a stock run) | {shares[0]:.2%} ({shares[1]:.2%}); FLOPs '
        f'{limits[0]:.2%} ({limits[1]:.2%}) | <= 1 % |'
    )


if __name__ == '__main__':
    main()
