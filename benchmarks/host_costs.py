"""What the CPU does for a step, before and after: medians side by side in one process.

    python benchmarks/host_costs.py --batch-size 512

Before is what stock parts do, or what ours did. Nothing here needs a GPU; on one, a
stock data preprocessor also waits for it, once for each copy.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from gpu_check import SmallImages, images
from mmengine.dataset import default_collate
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.transforms import BEiTMaskGenerator
from step_time import make_samples
from torch.utils.data import DataLoader, Dataset

from mmattmask.datasets import ResidentImages
from mmattmask.datasets.recording import exchange_stock
from mmattmask.geometry import read_metainfo, view_geometry
from mmattmask.masking import block_masks
from mmattmask.reporting.machine import machine
from mmattmask.sample_batch import collate_compactly
from mmattmask.scorers import AttentionBank, BankHeader, BankWriter

NUM_IMAGES = 200_000


def data_samples(args, folder):
    """Images and samples with a label and a mask each, up to the model."""
    inputs = torch.zeros(args.batch_size, 3, 8, 8, dtype=torch.uint8)  # samples count
    samples = make_samples(args.batch_size)
    for sample in samples:
        sample.set_gt_label(1).set_mask(torch.zeros(14, 14, dtype=torch.int64))
    batch = dict(inputs=inputs, data_samples=samples)
    norm = dict(mean=[0.0] * 3, std=[1.0] * 3)
    stock, own = (
        MODELS.build(dict(type=name, **norm))
        for name in ('SelfSupDataPreprocessor', 'mmattmask.AsyncDataPreprocessor')
    )
    return lambda: stock(batch, True), lambda: own(batch, True)


def photograph(args, folder):
    """Eight photographs of 375 x 500 px, from their files to packed views of 224 px."""
    crop = dict(scale=224, backend='pillow', interpolation='bicubic')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', crop_ratio_range=(0.2, 1.0), **crop),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    root = str(images(Path(folder), 32, (375, 500)).parent)
    stock, own = (
        CustomDataset(data_root=root, with_label=False, pipeline=pipeline)
        for _ in range(2)
    )
    exchange_stock(own.pipeline.transforms)
    return (lambda: [stock[i] for i in range(8)]), lambda: [own[i] for i in range(8)]


def small_images(args, folder):
    """A batch of 32 x 32 px, one by one through the pipeline, and at once."""
    crop = dict(scale=32, backend='pillow', interpolation='bicubic')
    pipeline = [
        dict(type='RandomResizedCrop', crop_ratio_range=(0.2, 1.0), **crop),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    stock = SmallImages(pipeline=pipeline)
    own = ResidentImages(stock)
    indices = [index % len(stock) for index in range(args.batch_size)]
    own.__getitems__(indices)
    return (
        lambda: default_collate([stock[index] for index in indices]),
        lambda: own.__getitems__(indices),
    )


class Packed(Dataset):
    """Small images with the samples of photographs."""

    def __init__(self, args):
        self.samples = make_samples(args.batch_size)
        self.num_batches = args.rounds + 1
        for index, sample in enumerate(self.samples):
            path = f'data/imagenet/train/n01440764/n01440764_{index}.JPEG'
            sample.set_gt_label(1)
            sample.set_metainfo(dict(img_path=path, img_shape=(224, 224)))

    def __len__(self):
        return self.num_batches * len(self.samples)

    def __getitem__(self, index):
        inputs = torch.zeros(3, 8, 8, dtype=torch.uint8)  # samples count
        sample = self.samples[index % len(self.samples)]
        return dict(inputs=inputs, data_samples=sample.clone())


def received(args, folder):
    """A batch from a loader process, up to where its views lie."""

    def receiver(collate):
        loader = DataLoader(
            Packed(args),
            args.batch_size,
            collate_fn=collate,
            num_workers=1,
            prefetch_factor=args.rounds + 1,
        )
        batches = iter(loader)

        def receive():
            samples = next(batches)['data_samples']
            return read_metainfo(samples, 'sample_idx'), view_geometry(samples)

        receive()
        return receive

    stock = receiver(default_collate)
    own = receiver(partial(collate_compactly, collate=default_collate))
    time.sleep(args.batch_size * args.rounds / 2000)  # until all batches are made
    return stock, own


def block_mask(args, folder):
    """One image's blocks in a loader process: MMPretrain's loop and ours."""
    stock = BEiTMaskGenerator((14, 14), num_masking_patches=75, min_num_patches=16)
    wanted = torch.tensor([75])
    return lambda: stock.transform({}), lambda: block_masks(wanted, (14, 14))


def look_up(args, folder):
    """Maps of a batch out of a bank: in the file, and in memory."""
    header = BankHeader(NUM_IMAGES, (14, 14), 'float16', 'zeros', 'zeros')
    writer = BankWriter(Path(folder) / 'zeros.bank', header)
    writer.finish()
    bank, device = AttentionBank(writer.path), torch.device('cpu')
    ids = np.random.default_rng(0).integers(0, NUM_IMAGES, args.batch_size)
    return (
        lambda: bank.look_up(ids, device, 'mmap'),
        lambda: bank.look_up(ids, device, 'ram'),
    )


def ema(args, folder):
    """Teacher of an iBOT with ViT-S: two state dicts in each step, or none."""
    config = dict(
        type='mmattmask.IBOT',
        backbone=dict(
            type='mmattmask.IBOTViT', arch='deit-small', img_size=224, patch_size=16
        ),
        head=dict(type='mmattmask.IBOTHead', out_channels=64),
        mask_generator=dict(type='mmattmask.IBOTMaskGenerator'),
    )
    model = MODELS.build(config).to('meta')  # what is left is not arithmetic
    teacher = model.teacher

    def before():
        teacher._pairs = None
        teacher.move(0.004)

    return before, lambda: teacher.move(0.004)


COSTS = (photograph, small_images, received, data_samples, block_mask, look_up, ema)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=30)
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    print(f'\n{machine()}, batch {args.batch_size}, {args.rounds} rounds\n')
    print('| cost | before, ms | after, ms |\n|---|---|---|')
    for cost in COSTS:
        with tempfile.TemporaryDirectory() as folder:
            times = ([], [])
            pair = cost(args, folder)
            for _ in range(args.rounds):
                for seconds, function in zip(times, pair, strict=True):
                    start = time.perf_counter()
                    function()
                    seconds.append(time.perf_counter() - start)
        before, after = (1e3 * statistics.median(seconds) for seconds in times)
        print(f'| {cost.__doc__.rstrip(".")} | {before:.2f} | {after:.2f} |')


if __name__ == '__main__':
    main()
