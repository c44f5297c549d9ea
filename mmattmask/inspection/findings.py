"""What usually goes wrong in a config: one function per finding, and their table."""

import copy
import logging
import os
from collections.abc import Callable
from math import ceil, inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import torch
from mmengine.runner import IterBasedTrainLoop

from mmattmask.checkpoints import load_whole, read_checkpoint
from mmattmask.dataset_configs import all_datasets
from mmattmask.datasets.recording import check_pipeline, exchange_stock
from mmattmask.inspection.built_config import (
    BuiltConfig,
    batch_sizes,
    image_paths,
    on_meta,
)
from mmattmask.inspection.flops import num_channels_of
from mmattmask.inspection.trial_batches import trial_batches
from mmattmask.launching import (
    AMP_ONLY_OPTIONS,
    DEVICES_WITHOUT_AMP,
    name_of,
    plain_type,
)
from mmattmask.models.data_preprocessor import MaskRewriter
from mmattmask.registry import WEIGHT_INITIALIZERS
from mmattmask.run_data import check_length
from mmattmask.run_guard import (
    check_colours,
    check_hooks,
    check_layer_decay,
    watch_checkpointed,
)
from mmattmask.run_warnings import may_collapse, other_batch, other_length
from mmattmask.scorers import FrozenTeacher

GOAL = 1000  # images per second on a GPU, to count workers for


class Finding(NamedTuple):
    """Something to know before the run.

    Attributes:
        sentence: What happens.
        fix: The line that changes it.
        level: ``'problem'``, or ``'note'`` for what may be meant.
    """

    sentence: str
    fix: str
    level: Literal['problem', 'note'] = 'problem'


def cannot_be_built(built: BuiltConfig) -> Finding | None:
    """Model, pipeline, hook or list of images cannot be had."""
    _ = built.images  # which notes what is wrong with it
    if not built.errors:
        return None
    return Finding('; '.join(built.errors), 'change what the sentence names')


def lost_geometry(built: BuiltConfig) -> Finding | None:
    """Maps of whole images cannot be cropped like the views."""
    if built.scorer is None or not built.scorer.reads_geometry:
        return None
    recorded = built.hooks_of('AttentionRefreshHook') or built.hooks_of('CheckMapsHook')
    try:
        for transforms in map(list, built.pipelines or []):
            if recorded:
                exchange_stock(transforms)
            check_pipeline(transforms)
    except ValueError as error:
        return _split(error)
    return None


def samples_without_names(built: BuiltConfig) -> Finding | None:
    """The stock ConcatDataset numbers the samples of each part from zero."""
    if built.images is not None:  # then the hooks say so
        return None
    needs_names = built.cached_scorer is not None or built.hooks_of('CheckMapsHook')
    datasets = all_datasets(built.cfg.train_dataloader.dataset)
    if not needs_names or all(one.get('type') != 'ConcatDataset' for one in datasets):
        return None
    return Finding(
        'ConcatDataset numbers the samples of each part from zero: images would share '
        'one attention map, the run stops before its first step',
        "train_dataloader.dataset: type='mmattmask.ConcatDataset'",
    )


def missing_data(built: BuiltConfig) -> Finding | None:
    """A folder or file of the training images is not there."""
    missing = [
        str(path)
        for path, fetched in image_paths(built.cfg)
        if not fetched and not path.exists()
    ]
    if not missing:
        return None
    return Finding(
        f'{", ".join(missing)} with training images is not here: the run '
        'stops at its start',
        f'train_dataloader.dataset.data_root=FOLDER; looked in {Path.cwd()}',
    )


def refused_at_start(built: BuiltConfig) -> Finding | None:
    """What the run itself refuses before its first step, as far as it can be known."""
    if built.model is None or built.errors:
        return None
    loop = planned_loop(built)
    run = SimpleNamespace(
        cfg=built.cfg,
        model=built.model,
        hooks=built.hooks,
        train_loop=loop,
        max_epochs=loop.max_epochs,
        max_iters=loop.max_iters,
        logger=logging.getLogger(__name__),
    )
    try:
        check_hooks(run)
        check_colours(run.model, run.cfg)
        check_layer_decay(run.cfg, run.model)
        for hook in built.hooks:
            if hasattr(hook, 'check_model'):
                hook.check_model(run)
        if built.images is None:
            return None
        run.train_dataloader = built.images
        check_length(loop, built.images, built.gpus or 1, built.model)
        for hook in built.hooks:
            if hasattr(hook, 'check_data'):
                hook.check_data(run)
    except (ValueError, OSError) as error:
        return _split(error)
    return None


def planned_loop(built: BuiltConfig) -> Any:
    """Return a loop that knows its length only."""
    total, unit = built.total
    steps = inf if built.images is None else len(built.images)
    if unit == 'epoch':
        return SimpleNamespace(max_epochs=total, max_iters=total * steps or 0)
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    loop._max_epochs, loop._max_iters = 1, total
    return loop


def failing_step(built: BuiltConfig) -> Finding | None:
    """An image does not get through pipeline and model; tried on the meta device.

    Hosts that need the output of a tokenizer or teacher network are not tried.
    """
    model = built.model
    if model is None or built.errors or built.guidance is None:
        return None
    has_targets = built.cfg.model.get('target_generator') is not None
    if has_targets or isinstance(model.data_preprocessor, MaskRewriter):
        return None
    channels = num_channels_of(model.backbone)
    preprocessor = copy.deepcopy(model.data_preprocessor).to('meta')
    try:
        batches = list(trial_batches(built, channels))
    except Exception as error:  # of any transform
        return Finding(
            f'the first image does not get through the pipeline: {_short(error)}',
            'a transform of train_dataloader.dataset.pipeline',
        )
    try:
        watch_checkpointed(model, built.cfg.get('activation_checkpointing') or ())
    except ValueError as error:
        return _split(error)
    for views in batches:
        try:
            with on_meta():
                model(**preprocessor(views, True), mode='loss')
        except Exception as error:
            # torch has no kernel for the meta device: that says nothing of the run
            if isinstance(error, NotImplementedError) or ' meta' in _short(error):
                continue
            if 'activation_checkpointing' in str(error):
                return _split(error)
            return Finding(
                f'a step with images of {channels} channels, as the backbone takes '
                f'them, cannot be made: {_short(error)}',
                'the size of the crop, model.backbone.img_size, or in_channels of '
                'backbone and head and mean and std of data_preprocessor',
            )
    return None


def _short(error: Exception) -> str:
    return ' '.join(str(error).split())[:300]


def unscaled_lr(built: BuiltConfig) -> Finding | None:
    """The learning rate belongs to another number of images per step."""
    per_gpu, gpus, _ = batch_sizes(built.cfg, built.gpus)
    if not (built.cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        return Finding(
            'nothing says which batch size the learning rate belongs to, so '
            '--auto-scale-lr cannot scale it',
            f'auto_scale_lr=dict(base_batch_size={per_gpu * gpus})',
            'note',
        )
    sentence, _, fix = other_batch(built.cfg, gpus).partition(': ')
    return Finding(sentence, fix) if sentence else None


def schedule_of_another_length(built: BuiltConfig) -> Finding | None:
    """The learning rate does not decay over the run."""
    sentence, _, fix = other_length(built.cfg).partition(': ')
    return Finding(sentence, fix, 'note') if sentence else None


def _split(error: Exception) -> Finding:
    """Take what comes after the last colon of a message for the fix."""
    sentence, _, fix = str(error).rpartition(': ')
    return Finding(sentence or fix, fix)


def lacking_safeguard(built: BuiltConfig) -> Finding | None:
    """A hook that keeps iBOT and DINO from collapse is not there."""
    sentence, _, fix = may_collapse(built.model, built.hooks).partition(': ')
    return Finding(sentence, fix) if sentence else None


def amp_without_accelerator(built: BuiltConfig) -> Finding | None:
    """Mixed precision needs an accelerator."""
    wrapper = built.cfg.optim_wrapper
    plain = plain_type(wrapper)
    if plain is None or built.device not in DEVICES_WITHOUT_AMP:
        return None
    return Finding(
        f'{name_of(wrapper.type)} needs an accelerator and this machine has '
        f'{built.device}',
        'nothing with `mmattmask train` or tools/train.py, which train in full '
        "precision here; elsewhere optim_wrapper=dict(_delete_=True, type='"
        f"{plain}', optimizer=...), without {', '.join(AMP_ONLY_OPTIONS)}",
        'note',
    )


def num_cores() -> int:
    """Return the cores that this process may use."""
    known = hasattr(os, 'sched_getaffinity')
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def wanted_workers(rate: float) -> int:
    """Return the workers that load ``GOAL`` images per second."""
    return ceil(GOAL / rate)


def other_number_of_workers(built: BuiltConfig) -> Finding | None:
    """On this machine with GPUs, loader workers are too few or too many."""
    rate = built.loader_rate
    if rate is None or built.device == 'cpu':
        return None
    workers = built.cfg.train_dataloader.get('num_workers', 0)
    gpus = max(torch.cuda.device_count(), 1)
    share = max(num_cores() // gpus, 1)
    wanted = min(wanted_workers(rate), share)
    if workers > share:
        text = f'more than the {num_cores()} cores of this machine have room for'
    elif workers < wanted:
        text = f'load {workers * rate:.0f} images per second; {wanted} would load '
        text += f'{wanted * rate:.0f}'
    else:
        return None
    return Finding(
        f'{workers} loader workers for each of {gpus} GPUs {text}',
        f'train_dataloader.num_workers={wanted}',
        'note',
    )


def unfitting_weights(built: BuiltConfig) -> Finding | None:
    """A file of weights is not there, or does not fit what it is for."""
    model, scorer = built.model, built.scorer
    if model is None:
        return None

    def load_all(path: str) -> None:
        content = read_checkpoint(path)
        state = content.get('state_dict', content) if isinstance(content, dict) else {}
        load_whole(model, state, logger='silent')

    def initialise(path: str) -> None:
        WEIGHT_INITIALIZERS.build(dict(model.backbone.init_cfg))(model.backbone)

    ways: dict[str, tuple[str | None, Callable[[str], object]]] = {
        'load_from': (built.cfg.get('load_from'), load_all)
    }
    init_cfg = model.backbone.init_cfg
    if isinstance(init_cfg, dict) and init_cfg.get('_scope_') == 'mmattmask':
        ways['model.backbone.init_cfg.checkpoint'] = init_cfg['checkpoint'], initialise
    if isinstance(scorer, FrozenTeacher):
        load = scorer.load
        ways['the checkpoint of the scorer'] = scorer.checkpoint, lambda path: load()
    for what, (path, load_from) in ways.items():
        if not path or '://' in path:
            continue
        try:
            load_from(path)
        except FileNotFoundError as error:
            sentence = f'{error} here: the run stops at its start'
            return Finding(sentence, f'{what}=FILE; looked in {Path.cwd()}')
        except ValueError as error:
            return Finding(' '.join(str(error).split()), f'another file for {what}')
    return None


FINDINGS: tuple[Callable[[BuiltConfig], Finding | None], ...] = (
    cannot_be_built,
    lost_geometry,
    samples_without_names,
    missing_data,
    refused_at_start,  # which lets stock crops record their views, as a run does
    failing_step,
    lacking_safeguard,
    unscaled_lr,
    schedule_of_another_length,
    unfitting_weights,
    other_number_of_workers,
    amp_without_accelerator,
)


def findings(built: BuiltConfig) -> list[Finding]:
    """Return what is wrong or worth knowing, each once, problems first."""
    found = [finding for check in FINDINGS if (finding := check(built)) is not None]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.level == 'note')
