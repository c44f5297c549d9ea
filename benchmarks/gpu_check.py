"""Correctness and speed on one GPU, in at most so many minutes.

    make gpu-check                                                # 8 minutes
    python benchmarks/gpu_check.py --out DIR --sections steps     # some of it
    python benchmarks/gpu_check.py --out DIR --device cpu --tiny  # a rehearsal

Four sections: `correctness` (hosts on the device beside the CPU, mixed precision, a run
with a refresh, resumed, compiled), `steps` (time and memory of steps), `loader` (images
per second) and `study` (images per second of the study's ViT). Each row is written to
DIR/<section>.json when it is there: the same command goes on with the rows that are
missing or failed. At the end come the tables, DIR/summary.md, and the targets.

It needs torch, numpy, the OpenMMLab packages without compiled ops and nothing else; it
makes its images itself.
"""

import argparse
import contextlib
import copy
import dataclasses
import gc
import json
import os
import shutil
import statistics
import sys
import time
import traceback
from functools import partial
from pathlib import Path

if '--device' in sys.argv and sys.argv[sys.argv.index('--device') + 1] == 'cpu':
    os.environ['CUDA_VISIBLE_DEVICES'] = ''  # OpenMMLab takes a GPU where there is one
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import ibot_step
import numpy as np
import step_time
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from mmattmask.datasets import ResidentImages
from mmattmask.datasets.recording import exchange_stock
from mmattmask.mask_generators.trial import check_partition
from mmattmask.models.guidance import guidance_of
from mmattmask.registry import TASK_UTILS
from mmattmask.reporting.machine import machine
from mmattmask.sample_batch import collate_compactly
from tests.host_matrix import POLICIES, build, policy
from tests.tiny_hosts import HOSTS

SECTIONS = ('correctness', 'steps', 'loader', 'study')
DEBUG = ROOT / 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
FULL = ROOT / 'configs/amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'
STUDY = 'configs/study/{}_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'
# the first policy that trains in each host
FIRST = ('AMT', 'AM', 'GPA', 'random')
REFUSED = ('MixMIM', 'SparK')
# of a rehearsal's ViT, as wide as the config's decoder expects
SMALL = dict(embed_dims=192, num_layers=2, num_heads=3, feedforward_channels=384)
COMPILING = 60  # s that must be left to begin with it


# --- correctness: each row has a value, its limit, and whether it is kept


def correctness(args):
    """Yield the rows of the first section and what makes them."""
    hosts = [name for name in HOSTS if name not in REFUSED]
    for name in ['MAE', 'SimMIM (ViT)', 'iBOT'] if args.tiny else hosts:
        yield f'{name} on {args.device} beside cpu', partial(beside_cpu, name, args)
        for dtype in ['bfloat16', *['float16'] * (args.device == 'cuda')]:
            yield f'{name}, {dtype}', partial(mixed_precision, name, dtype, args)
    yield 'masks of every policy', partial(masks, args)
    yield 'AMT with a refresh', partial(whole, args)
    yield 'resumed beside uninterrupted', partial(resume, args)
    yield 'compiled beside not', partial(compiled, args)


def cell_of(host_name):
    """Build a host with the first policy it takes, on maps of the user's."""
    host = HOSTS[host_name]
    for name in FIRST:
        with contextlib.suppress(ValueError):
            model = build(host, name, None if name == 'random' else 'maps')
            with torch.no_grad():
                model(**model.data_preprocessor(host.batch(), True), mode='loss')
            return host, model.train()
    raise AssertionError(f'{host_name} takes none of {FIRST}')


def beside_cpu(host_name, args):
    """Compare losses and gradients with the same masks, float32."""
    torch.backends.cudnn.allow_tf32 = False
    decided, results = [], []
    for device in ('cpu', args.device):
        host, model = cell_of(host_name)
        model.to(device)
        guidance = guidance_of(model)
        ask = guidance._ask

        def decide(*given, ask=ask, device=device):
            if device == 'cpu' and len(results) == 0:
                decided.append(ask(*given))
                return decided[-1]
            ask(*given)
            return moved(decided.pop(0), device)

        guidance._ask = decide
        losses = model(**model.data_preprocessor(host.batch(), True), mode='loss')
        loss = model.parse_losses(losses)[0]
        loss.backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        results.append((loss.item(), torch.cat(grads).cpu()))
    (loss, grad), (other_loss, other_grad) = results
    of_loss = abs(loss - other_loss) / abs(loss)
    of_grad = ((grad - other_grad).norm() / grad.norm()).item()
    return verdict(max(of_loss, of_grad), 1e-3, 'relative difference of the gradients')


def moved(decision, device):
    """Move a mask or a partition."""
    if isinstance(decision, torch.Tensor):
        return decision.to(device)
    parts = {name: ids.to(device) for name, ids in vars(decision).items()}
    return dataclasses.replace(decision, **parts)


def mixed_precision(host_name, dtype, args):
    """Train some steps in 16 bits and count losses that are not finite."""
    host, model = cell_of(host_name)
    model.to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    scaler = torch.amp.GradScaler(args.device, enabled=dtype == 'float16')
    bad = 0
    for _ in range(3 if args.tiny else 20):
        data = model.data_preprocessor(host.batch(), True)
        with torch.autocast(args.device, getattr(torch, dtype)):
            loss = model.parse_losses(model(**data, mode='loss'))[0]
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        bad += not torch.isfinite(loss).item()
    return verdict(bad, 0, 'losses that are not finite')


def masks(args):
    """Let every policy mask on the device; ValueError if one is no partition."""
    score = torch.rand(64, 196, device=args.device)
    for name in POLICIES:
        generator = TASK_UTILS.build(policy(name))
        given = (4 * score).long() if generator.takes_labels else score
        if not generator.variable_counts:
            check_partition(generator(given, None, 0.5, (14, 14)), name)
        mask = generator.mask(given, None, 0.5, (14, 14))
        if mask.device != score.device or not ((mask == 0) | (mask == 1)).all():
            raise ValueError(f'{name} gives no mask on {args.device}')
    return verdict(0, 0, f'of {len(POLICIES)} policies fail')


def run(name, args, options=(), resume=False):
    """Train the debug config of AMT, two epochs with a refresh between them."""
    cfg = Config.fromfile(str(DEBUG))
    cfg.work_dir = str(args.out / 'runs' / name)
    if not resume:
        shutil.rmtree(cfg.work_dir, ignore_errors=True)
    cfg.experiment_name = f'{name}_{time.time_ns()}'
    cfg.train_dataloader.dataset.data_root = str(images(args.out, 32, (96, 128)).parent)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmattmask.EpochSeedHook')]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    cfg.resume = resume
    if args.tiny:
        cfg.model.backbone.arch = SMALL
    cfg.merge_from_dict(dict(options))
    runner = Runner.from_cfg(cfg)
    runner.train()
    loss = float(runner.message_hub.get_scalar('train/loss').current())
    if not list(Path(cfg.work_dir).glob('attention_bank/*.bank')):
        raise ValueError('no bank was written')
    return verdict(0 if np.isfinite(loss) else 1, 0, 'losses that are not finite') | {
        'loss': loss
    }


def whole(args):
    """Train the run that others are compared with, once."""
    if not hasattr(args, 'whole'):
        args.whole = run('whole', args)
    return args.whole


def weights(args, name):
    """Return the weights after two epochs of a run, in one tensor."""
    path = args.out / 'runs' / name / 'epoch_2.pth'
    state = torch.load(path, map_location='cpu', weights_only=False)['state_dict']
    return torch.cat([value.float().flatten() for value in state.values()])


def resume(args):
    """Compare a run that went on after its first epoch with one that did not stop."""
    whole(args)
    folders = [args.out / 'runs' / name for name in ('whole', 'resumed')]
    shutil.rmtree(folders[1], ignore_errors=True)
    (folders[1] / 'attention_bank').mkdir(parents=True)
    shutil.copy(folders[0] / 'epoch_1.pth', folders[1])
    run('resumed', args, resume=True)
    return difference(args, 'resumed')


def compiled(args):
    """Compare a compiled run with one that is not."""
    whole(args)
    backend = 'eager' if args.tiny else 'inductor'
    run('compiled', args, {'compile': dict(backend=backend)})
    return difference(args, 'compiled')


def difference(args, name):
    """Compare the weights of two runs."""
    one, other = weights(args, 'whole'), weights(args, name)
    relative = ((one - other).norm() / one.norm()).item()
    return verdict(relative, 1e-3, 'relative difference of the weights')


def verdict(value, limit, what):
    """Return a row that says whether a value is kept within its limit."""
    return dict(value=value, limit=limit, what=what, kept=bool(value <= limit))


def images(out, number, size):
    """Make smooth JPEG images once; return their folder."""
    folder = out / f'images_{size[0]}x{size[1]}' / 'all'
    if len(list(folder.glob('*.jpg'))) < number:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        for index in range(number):
            coarse = rng.integers(0, 256, (size[0] // 16, size[1] // 16, 3), np.uint8)
            picture = Image.fromarray(coarse).resize(size[::-1], Image.BICUBIC)
            noise = rng.normal(0, 8, (*size, 3))
            pixels = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f'{index:04}.jpg', quality=90)
    return folder


# --- steps: each row has, for every variant, its time, ratio, memory and waiting


def steps(args):
    """Yield the rows of the second section, the most telling first."""
    small, large = (2, 4) if args.tiny else (128, 256)
    order = [
        ('amt', small, False),
        ('ibot', small // 2, False),
        ('amt', small, True),
        ('simmim', small, False),
        ('gpa', small, False),
        ('amt', large, False),
        ('gpa', large, False),
        ('simmim', large, False),
        ('ibot', small // 2, True),
        ('simmim', small, True),
        ('gpa', small, True),
        ('amt', large, True),
    ]
    for name, batch_size, compile_ in order[:4] if args.tiny else order:
        key = f'{name}, batch {batch_size}, {"compiled" if compile_ else "eager"}'
        measure = ibot if name == 'ibot' else variants
        yield key, partial(measure, args, name, batch_size, compile_)


def options(args, **more):
    """Return what the other benchmarks take for the arguments of their commands."""
    return argparse.Namespace(
        device=args.device,
        amp=True,
        fused=args.device == 'cuda',
        cpu_time=False,
        arch='tiny' if args.tiny else 'base',
        rounds=1 if args.tiny else 8,
        warmup=1 if args.tiny else 3,
        **more,
    )


def variants(args, name, batch_size, compile_):
    """Time the variants of a set; compiled ones beside the first that is not."""
    own = options(args, set=name)
    bank = step_time.make_bank(str(args.out))
    configs = step_time.policies(own)
    if args.tiny:  # the teacher of GPA is a ViT-B
        configs = {key: value for key, value in configs.items() if key[:3] != 'GPA'}
    if compile_:
        first = next(iter(configs))
        plain = {f'{first}, not compiled': copy.deepcopy(configs[first])}
        configs = plain | configs
    measured = []
    for key, changes in configs.items():
        with torch.device(args.device):
            model = step_time.build(own.arch, changes)
        variant = step_time.Variant(key, step_time.give_bank(model, bank), own)
        if compile_ and measured:
            model.forward = compile_function(model.forward, args)
        measured.append(variant)
    inputs = torch.randn(batch_size, 3, 224, 224, device=args.device)
    samples = step_time.make_samples(batch_size)
    step_time.take_turns(measured, inputs, samples, own)
    rows = {}
    for variant in measured:
        advance = partial(variant.advance, inputs, samples, own)
        rows[variant.name] = row(variant.times, measured[0].times, advance, args)
    if name == 'amt' and not compile_:
        amt = measured[-1]
        guide = partial(amt.model.guidance.guide, inputs, samples)
        seconds = step_time.median_time(guide, own, 5)
        ratio = seconds / statistics.median(amt.times)
        rows['guidance of AMT'] = dict(ms=seconds * 1e3, ratio=ratio)
    return rows


def compile_function(function, args):
    """Compile; without generating code in a rehearsal."""
    return torch.compile(function, backend='eager' if args.tiny else 'inductor')


def ibot(args, name, batch_size, compile_):
    """Time iBOT with ViT-S and its masks."""
    own = options(args, batch_size=batch_size, small_views=10, prototypes=8192)
    own.arch = 'tiny' if args.tiny else 'small'
    if args.tiny:
        own.small_views, own.prototypes = 2, 64
    bench = ibot_step.Bench(own)
    if compile_:
        bench.model.forward = compile_function(bench.model.forward, args)
    times = ibot_step.take_turns(
        bench, ('iBOT, blocks', 'AttMask-High', 'AttMask-Hint')
    )
    rows = {}
    for key, values in times.items():
        bench.become(key)
        rows[key] = row(values, times['iBOT, blocks'], bench.step, args)
    return rows


def row(times, first, step, args):
    """Return median time, ratio to the first of each round, memory and waiting."""
    ratios = [a / b for a, b in zip(times, first, strict=True)]
    return dict(
        ms=statistics.median(times) * 1e3,
        ratio=statistics.median(ratios),
        peak_mib=peak(step, args),
        waits=waiting(step, args),
    )


def peak(step, args):
    """Return the memory that one step needs beside what lies there; None on a CPU."""
    if args.device != 'cuda':
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def waiting(step, args):
    """Return the share of steps in which no kernel runs; None on a CPU."""
    if args.device != 'cuda':
        return None
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    kernels = sorted(
        (event.time_range.start, event.time_range.end)
        for event in seen.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    busy, end = 0.0, kernels[0][0]
    for start, stop in kernels:
        busy += max(stop - max(start, end), 0)
        end = max(end, stop)
    return 1 - busy / (end - kernels[0][0])


# --- loader and study: images per second


def loader(args):
    """Yield the rows of the third section."""
    counts = [1, 2] if args.tiny else [1, 4, 8, 16]
    for workers in counts:
        if workers <= (os.cpu_count() or 1):
            yield f'{workers} workers', partial(load, args, workers)


def load(args, workers):
    """Load photographs as AMT's config does; return images per second."""
    cfg = Config.fromfile(str(FULL)).train_dataloader
    folder = images(args.out, 32 if args.tiny else 256, (375, 500))
    cfg.dataset = dict(
        type='CustomDataset',
        data_root=str(folder.parent),
        with_label=False,
        pipeline=cfg.dataset.pipeline,
    )
    cfg.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.update(
        batch_size=8 if args.tiny else 64, num_workers=workers, persistent_workers=True
    )
    loader_ = Runner.build_dataloader(cfg, seed=0)
    exchange_stock(loader_.dataset.pipeline.transforms)  # as FastLoaderHook does
    loader_.collate_fn = partial(collate_compactly, collate=loader_.collate_fn)
    batches = iter(loader_)
    for _ in range(2 * workers):  # what was loaded before the clock starts
        next(batches)
    number, start = 0, time.perf_counter()
    while time.perf_counter() - start < (1 if args.tiny else 6):
        number += len(next(batches)['inputs'])
    rate = number / (time.perf_counter() - start)
    return dict(images_per_s=rate, per_worker=rate / workers)


def study(args):
    """Yield the rows of the fourth section."""
    for name in ('random', 'amt', 'attmask-high'):
        for batch_size in [16] if args.tiny else [64, 1024]:
            yield f'{name}, batch {batch_size}', partial(train, args, name, batch_size)


def train(args, name, batch_size):
    """Train a policy of the study on random pixels; return images loaded per second."""
    cfg = Config.fromfile(str(ROOT / STUDY.format(name)))
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    model.init_weights()
    bank = step_time.make_bank(str(args.out))
    variant = step_time.Variant(name, step_time.give_bank(model, bank), options(args))
    own, times = options(args), []
    batches = batches_of(cfg, batch_size)
    for _ in range(3 if args.tiny else 30):
        start = time.perf_counter()
        data = model.data_preprocessor(next(batches), True)
        variant.advance(data['inputs'], data['data_samples'], own)
        step_time.synchronize(own)
        times.append(time.perf_counter() - start)
    return dict(images_per_s=batch_size / statistics.median(times[1:]))


class SmallImages(BaseDataset):
    """Random arrays of 32 x 32 px, as CIFAR's, one for each map of the bank."""

    def load_data_list(self):
        """Make them."""
        shape = (step_time.NUM_IMAGES, 32, 32, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        return [dict(img=image, gt_label=0) for image in pixels]


def batches_of(cfg, batch_size):
    """Return the batches of a config, of images that lie on the device."""
    images_ = SmallImages(pipeline=cfg.train_dataloader.dataset.pipeline)
    loader = dict(
        dataset=ResidentImages(images_),
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    return iter(Runner.build_dataloader(loader, seed=0))


# --- targets, tables, the order of work


def targets(results):
    """Return (what, value, limit) of all targets that were measured."""
    found = []
    for key, rows in results.get('steps', {}).items():
        if 'error' in rows:
            continue
        limits = {'AttMask-High': 1.01, 'AttMask-Hint': 1.01}
        if key.endswith('eager'):
            limits |= {
                'AMT 45/40': 0.63,
                'guided, random 75': 1.01,
                'guidance of AMT': 0.01,
                'GPA cached': 1.05,
                'GPA online': 1.46,
                'SimMIM 44/26': 0.75,
                'SimMIM 33/50': 0.53,
            }
        elif key.startswith('amt'):
            limits |= {'guided, random 75': 0.85}
        found += [
            (f'{name} ({key})', rows[name]['ratio'], limit)
            for name, limit in limits.items()
            if name in rows
        ]
    return found


def tables(results):
    """Return the report, Markdown."""
    lines = [f'# GPU check\n\n{machine()}, {os.cpu_count()} cores\n']
    for section, rows in results.items():
        lines.append(f'\n## {section}\n')
        flat = rows
        if section == 'steps':
            flat = {}
            for key, variants_ in rows.items():
                if 'error' in variants_:
                    flat[key] = variants_
                    continue
                flat |= {f'{key}: {name}': row for name, row in variants_.items()}
        names = list(dict.fromkeys(name for row in flat.values() for name in row))
        lines.append('| | ' + ' | '.join(names) + ' |')
        lines.append('|---' * (len(names) + 1) + '|')
        for key, row_ in flat.items():
            cells = (shown(row_.get(name)) for name in names)
            lines.append(f'| {key} | ' + ' | '.join(cells) + ' |')
    lines.append('\n## targets\n\n| ratio | measured | target | |\n|---|---|---|---|')
    for what, value, limit in targets(results):
        passed = 'pass' if value <= limit else 'FAIL'
        lines.append(f'| {what} | {value:.3f} | <= {limit} | {passed} |')
    return '\n'.join(lines) + '\n'


def shown(value):
    """Return a cell of a table."""
    if value is None:
        return '-'
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def main():
    """Make the rows that are missing until the time is over; print what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=8)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_check'))
    parser.add_argument('--sections', nargs='+', default=SECTIONS, choices=SECTIONS)
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument('--tiny', action='store_true', help='small models, few rounds')
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('no GPU here: --device cpu --tiny is a rehearsal')
    if args.tiny:
        step_time.ARCHS['tiny'] = (SMALL, SMALL['embed_dims'])
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    init_default_scope('mmpretrain')
    end = time.monotonic() + 60 * args.minutes
    results, tasks = {}, []
    for section in args.sections:
        file = args.out / f'{section}.json'
        results[section] = json.loads(file.read_text()) if file.exists() else {}
        tasks += [(section, key, make) for key, make in globals()[section](args)]
    # compiling takes minutes: last
    tasks.sort(key=lambda task: 'compiled' in task[1])
    left = 0
    for section, key, make in tasks:
        rows = results[section]
        if key in rows and 'error' not in rows[key]:
            continue
        if time.monotonic() > end - (COMPILING if 'compiled' in key else 0):
            left += 1
            continue
        rows[key] = attempt(make)
        (args.out / f'{section}.json').write_text(json.dumps(rows, indent=1))
        print(f'{section}: {key}: {rows[key]}', flush=True)
    report = tables(results)
    (args.out / 'summary.md').write_text(report)
    print(f'\n{report}')
    if left:
        print(f'{left} rows are left: the same command goes on with them')
    checks = [row.get('kept', False) for row in results.get('correctness', {}).values()]
    sys.exit(not all(checks))


def attempt(make):
    """Make a row, or say why there is none; leave no memory behind."""
    try:
        return make()
    except Exception as error:  # the other rows do not depend on it
        traceback.print_exc()
        return dict(error=f'{type(error).__name__}: {str(error)[:200]}')
    finally:
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == '__main__':
    main()
