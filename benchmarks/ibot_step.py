"""Step time of AttMask beside iBOT, and of heads on all patches, in one process.

    python benchmarks/ibot_step.py --batch-size 4 --rounds 6             # CPU
    python benchmarks/ibot_step.py --device cuda --batch-size 64 --amp   # GPU

A step is forward, backward, clipping, an AdamW update and the teacher's, on random
images: two views of 224 px and ten of 96 px. One model takes each mask generator and
each form of the head in turn. The table gives medians over rounds and the median of
the ratios to the first variant of the same round. What a mask costs is far below a
step's noise: it is timed by itself, too.
"""

import argparse
import contextlib
import platform
import statistics
import time

import mmpretrain
import torch
from mmengine.registry import MODELS, TASK_UTILS, init_default_scope

from mmattmask.engine.decay_groups import split_by_decay
from mmattmask.engine.per_tensor_clip import clip_each_grad_
from mmattmask.masking.attention import cls_attention
from mmattmask.scorers.self_attention import read_block

BLOCKS = dict(type='mmattmask.IBOTMaskGenerator')
HIGH = dict(
    type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=(0.1, 0.5), mask_prob=0.5
)
# name: mask generator, heads on all patches of the large views, target
VARIANTS = {
    'iBOT, blocks': (BLOCKS, False, ''),
    'iBOT, random patches': (BLOCKS | dict(shape='random'), False, ''),
    'AttMask-High': (HIGH, False, '<= 1.01'),
    'AttMask-Hint': (HIGH | dict(mode='hint'), False, '<= 1.01'),
    'iBOT, blocks, head on all patches': (BLOCKS, True, '> 1'),
}
ARCHS = dict(tiny='deit-tiny', small='deit-small', base='base', large='large')


class Bench:
    """One iBOT that takes steps as every variant."""

    def __init__(self, args):
        self.args = args
        torch.manual_seed(0)
        self.model = MODELS.build(
            dict(
                type='mmattmask.IBOT',
                backbone=dict(
                    type='mmattmask.IBOTViT',
                    arch=ARCHS[args.arch],
                    img_size=224,
                    patch_size=16,
                    drop_path_rate=0.1,
                ),
                head=dict(
                    type='mmattmask.IBOTHead',
                    out_channels=args.prototypes,
                    norm_last_layer=False,
                ),
                mask_generator=BLOCKS,
            )
        )
        self.model.init_weights()
        self.model.to(args.device).train()
        decayed, others = split_by_decay(self.model.named_parameters())
        self.parameters = decayed + others
        self.optimizer = torch.optim.AdamW(
            [dict(params=decayed), dict(params=others, weight_decay=0.0)],
            lr=1e-5,
            fused=args.device == 'cuda',
        )
        sides = [224] * 2 + [96] * args.small_views
        self.views = [
            torch.randn(args.batch_size, 3, side, side, device=args.device)
            for side in sides
        ]

    def become(self, name):
        """Take a variant's masks and head."""
        generator, self.model.dense, _ = VARIANTS[name]
        generator = TASK_UTILS.build(generator)
        guidance = self.model.guidance
        guidance.mask_generator = guidance.warmup_mask_generator = generator

    def loss(self):
        """Run the forward pass."""
        with self.autocast():
            return sum(self.model(self.views, None, mode='loss').values())

    def step(self):
        """Make one training step."""
        self.optimizer.zero_grad()
        self.loss().backward()
        clip_each_grad_(self.parameters, 3.0)
        self.optimizer.step()
        self.model.teacher.move(0.004)

    def autocast(self):
        """bf16 where asked for."""
        if not self.args.amp:
            return contextlib.nullcontext()
        return torch.autocast(self.args.device, torch.bfloat16)

    def timed(self, function):
        """Return the seconds of one call."""
        # on a CPU those of this process: others on the machine take none of them
        clock = time.perf_counter if self.args.device == 'cuda' else time.process_time
        self.synchronize()
        start = clock()
        function()
        self.synchronize()
        return clock() - start

    def median(self, function, rounds=10):
        """Return the median seconds of a call, after one to warm up."""
        function()
        return statistics.median(self.timed(function) for _ in range(rounds))

    def synchronize(self):
        """Wait for the device."""
        if self.args.device == 'cuda':
            torch.cuda.synchronize()

    def kept_bytes(self):
        """Return the size of what a forward pass keeps for the backward pass."""
        own = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        sizes = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self.loss()
        del loss
        return sum(sizes.values())

    def peak_bytes(self):
        """Return the largest memory of a step on a GPU; None elsewhere."""
        if self.args.device != 'cuda':
            return None
        torch.cuda.reset_peak_memory_stats()
        self.step()
        return torch.cuda.max_memory_allocated()


def main():
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='small', choices=ARCHS)
    parser.add_argument('--batch-size', type=int, default=4, help='images per step')
    parser.add_argument('--small-views', type=int, default=10)
    parser.add_argument('--prototypes', type=int, default=8192)
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--warmup', type=int, default=1)
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--threads', type=int)
    parser.add_argument('--amp', action='store_true', help='bf16 autocast')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    init_default_scope('mmpretrain')
    bench = Bench(args)
    report(bench, take_turns(bench, VARIANTS))


def take_turns(bench, names):
    """Return the times of the steps of each variant, one after the other."""
    args, names = bench.args, list(names)
    times = {name: [] for name in names}
    for round_ in range(args.warmup + args.rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            bench.become(name)
            times[name].append(bench.timed(bench.step))
    return {name: values[args.warmup :] for name, values in times.items()}


def report(bench, times):
    """Print steps and memory, then what makes the masks."""
    args = bench.args
    device = platform.processor() or platform.machine()
    if args.device == 'cuda':
        device = torch.cuda.get_device_name()
    print(
        f'\nViT-{args.arch}/16, batch {args.batch_size}, 2 x 224 px and '
        f'{args.small_views} x 96 px, {args.prototypes} prototypes, {device}, '
        f'{torch.get_num_threads()} threads, '
        f'{"wall" if args.device == "cuda" else "CPU"} time, '
        f'{"bf16 autocast" if args.amp else "fp32"}, torch {torch.__version__}, '
        f'mmpretrain {mmpretrain.__version__}, {args.rounds} rounds\n'
    )
    first = next(iter(times.values()))
    print(
        '| variant | step, s (median) | ratio to the first (median) | range | target '
        '| kept for backward, MiB | peak, MiB |\n|---|---|---|---|---|---|---|'
    )
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, first, strict=True)]
        bench.become(name)
        kept, peak = bench.kept_bytes(), bench.peak_bytes()
        print(
            f'| {name} | {statistics.median(values):.3f} '
            f'| {statistics.median(ratios):.3f} '
            f'| {min(ratios):.2f}..{max(ratios):.2f} | {VARIANTS[name][2]} '
            f'| {kept / 2**20:.0f} '
            f'| {"not measured" if peak is None else f"{peak / 2**20:.0f}"} |'
        )
    step = statistics.median(first)
    images = torch.cat(bench.views[:2])
    with torch.no_grad(), bench.autocast():
        _, attention = bench.model.teach(images)
        print('\n| by itself | ms | of a step |\n|---|---|---|')
        for name, (_, dense, _) in VARIANTS.items():
            if dense:
                continue
            bench.become(name)
            seconds = bench.median(
                lambda: bench.model.mask_views(images, None, attention)
            )
            print(f'| masks of {name} | {seconds * 1e3:.2f} | {seconds / step:.2%} |')
        row = read_row(bench, images)
        print(f'| CLS row of the attention | {row * 1e3:.2f} | {row / step:.2%} |')


def read_row(bench, images):
    """Time what the teacher's own pass lacks: one row of its last block's attention."""
    vit = bench.model.teacher['backbone']
    read = read_block(vit, -1, lambda: vit(images))
    return bench.median(lambda: cls_attention(read.query, read.key, 1).mean(dim=1))


if __name__ == '__main__':
    main()
