"""What every run is held to before its first step, and how it keeps its folder.

MMEngine's runner alone knows model, hooks, loader and folder of a run, and asks nobody
of ours about them together; so its methods are wrapped here, once.
"""

import functools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.cuda import OutOfMemoryError

from mmattmask.checkpoints import whole_models
from mmattmask.config_values import check_values
from mmattmask.files import whole_file
from mmattmask.resuming import (
    check_goes_on,
    latest_checkpoint,
    report_old_schedule,
    schedule_ends,
)

LOCK = '.training'
_EXAMPLE = "activation_checkpointing=['backbone.layers.0', …]"


def guard_runs() -> None:
    """Wrap MMEngine's runner and checkpoint hook; again changes nothing.

    A run takes its folder for itself, is refused if it cannot become what its config
    says, resumes from its own folder, and removes a checkpoint when the next, which
    appears whole or not at all, is there. A test needs weights for the whole model.
    """
    module: Any = import_module('mmengine.runner.runner')
    runner, hook = module.Runner, import_module('mmengine.hooks').CheckpointHook
    if runner.train.__module__ == __name__:
        return
    train, resume = runner.train, runner.resume
    turn_on_checkpointing = module.turn_on_activation_checkpointing
    save, save_checkpoint = hook._save_checkpoint_with_step, module.save_checkpoint

    def guarded(from_cfg: Any) -> Any:
        def guarded_from_cfg(cls: Any, cfg: Any) -> Any:
            """Build a runner; see ``mmattmask.run_guard``."""
            check_values(cfg)
            return from_cfg(cls, cfg)

        return guarded_from_cfg

    def guarded_train(self: Any) -> Any:
        """Launch training; see ``mmattmask.run_guard``."""
        with only_run_in(self.work_dir):
            remove_torn(self.work_dir)
            loop = build_loop(self)
            check_hooks(self)
            check_colours(self.model, self.cfg)
            check_length(loop, loop.dataloader, getattr(self, 'world_size', 1))
            for text in (other_length(self.cfg), partly_frozen(self.model)):
                if text:
                    self.logger.warning(text)
            start = self.iter
            try:
                return train(self)
            except (RuntimeError, AssertionError, IndexError) as error:
                if self.iter > start or isinstance(error, OutOfMemoryError):
                    raise
                raise ValueError(failed_step(self.model, loop, error)) from error

    def guarded_resume(self: Any, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume; see ``mmattmask.run_guard``."""
        wanted = schedule_ends(self)
        try:
            resume(self, filename, *args, **kwargs)
        except KeyError as error:
            if error.args != ('meta',):
                raise
            raise ValueError(
                f'{filename} holds weights and no run to go on with: set resume=False '
                'to start from them'
            ) from error
        check_goes_on(self, filename)
        report_old_schedule(self, wanted, schedule_ends(self))

    def loading_whole(evaluate: Any) -> Any:
        @functools.wraps(evaluate)
        def evaluate_whole(self: Any) -> Any:
            with whole_models():
                return evaluate(self)

        return evaluate_whole

    def checkpointing(model: Any, names: Any) -> None:
        watch_checkpointed(model, names)
        turn_on_checkpointing(model, names)

    def save_whole(checkpoint: Any, filename: str, *args: Any, **kwargs: Any) -> None:
        if '://' in filename or any([*args, *kwargs.values()]):  # not a local file
            save_checkpoint(checkpoint, filename, *args, **kwargs)
            return
        with whole_file(filename) as temporary:
            save_checkpoint(checkpoint, str(temporary))

    def guarded_save(self: Any, runner: Any, step: int, meta: Any) -> None:
        ids: Any = getattr(self, 'keep_ckpt_ids', ())
        for each in runner.hooks:  # or the last good checkpoint goes for a bad one
            getattr(each, 'before_saving', lambda runner: None)(runner)
        full = 0 < self.max_keep_ckpts == len(ids) and ids[-1] != step
        outdated = ids.popleft() if full else None  # or it is removed first
        save(self, runner, step, meta)
        if outdated is not None:
            _remove(self, outdated)

    for kind in (runner, import_module('mmengine.runner').FlexibleRunner):
        kind.from_cfg = classmethod(guarded(kind.from_cfg.__func__))
    runner.train = guarded_train
    runner.resume = guarded_resume
    runner.test, runner.val = loading_whole(runner.test), loading_whole(runner.val)
    hook._save_checkpoint_with_step = guarded_save
    module.save_checkpoint = save_whole
    module.turn_on_activation_checkpointing = checkpointing
    module.find_latest_checkpoint = latest_checkpoint


def check_hooks(runner: Any) -> None:
    """Raise ValueError if a part of the model lacks the hook it cannot do without.

    Parts name such hooks in ``paired_hooks``, of which one must be there: a scorer that
    waits for maps, a teacher that has to be moved.
    """
    present = {cls.__name__ for hook in runner.hooks for cls in type(hook).__mro__}
    for name, module in runner.model.named_modules():
        needed = getattr(module, 'paired_hooks', ())
        if needed and not present & set(needed):
            raise ValueError(
                f'{type(module).__name__} ({name}) does nothing without '
                f'{" or ".join(needed)}, and this run has '
                f'{", ".join(type(hook).__name__ for hook in runner.hooks)}: add '
                f"dict(type='mmattmask.{needed[0]}') to custom_hooks (a list in a "
                'config replaces that of its base)'
            )


def check_colours(model: Any, cfg: Any) -> None:
    """Raise ValueError if a teacher with pixels of its own would see blue for red."""
    from mmattmask.dataset_configs import colours_of

    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    loaded = colours_of(dataset) if dataset else None
    for name, module in model.named_modules():
        wanted = getattr(module, 'loaded_are', None)
        if loaded and wanted and loaded != wanted:
            raise ValueError(
                f'{type(module).__name__} ({name}) has pixels of its own and would see '
                f'red and blue exchanged: the training images are {loaded}, views of '
                f'data_preprocessor are {module.views_are} where they are {wanted}: '
                f'set to_rgb={loaded == "bgr"} of data_preprocessor, and '
                "channel_order='rgb' of the scorer"
            )


def watch_checkpointed(model: Any, names: str | Sequence[str]) -> None:
    """Let a step raise ValueError if a part that is checkpointed would not learn.

    MMEngine's checkpointing is reentrant: where no input has a gradient, as of parts
    that take the images, weights keep their first values, without a word; and a list of
    blocks, which nobody calls, saves nothing.

    Raises:
        ValueError: If a part is not there or is such a list.
    """
    parts = dict(model.named_modules(remove_duplicate=False))
    for name in [names] if isinstance(names, str) else names:
        part = parts.get(name)
        if part is None or type(part).forward is nn.Module.forward:
            what = 'is not there' if part is None else f'is a {type(part).__name__}'
            raise ValueError(
                f'{name} in activation_checkpointing {what}: name modules with a '
                f'forward of their own ({_EXAMPLE})'
            )
        part.register_forward_pre_hook(functools.partial(_check_learns, name))


def _check_learns(name: str, part: Any, inputs: tuple[Any, ...]) -> None:
    if not (part.training and torch.is_grad_enabled()):
        return
    if any(isinstance(value, Tensor) and value.requires_grad for value in inputs):
        return
    if any(parameter.requires_grad for parameter in part.parameters()):
        raise ValueError(
            f'{name} in activation_checkpointing gets no gradient, for its inputs have '
            f'none: name the blocks behind the first layer instead ({_EXAMPLE})'
        )


def build_loop(runner: Any) -> Any:
    """Build the loop of training and its loader; refuse a stream, without a length."""
    try:
        runner._train_loop = runner.build_train_loop(runner._train_loop)
    except TypeError as error:
        if 'has no len()' not in str(error):
            raise
        raise ValueError(
            f'train_dataloader.dataset must know its length and give its images by '
            f'index, as datasets of mmengine.dataset.BaseDataset: {error}'
        ) from error
    return runner._train_loop


def failed_step(model: Any, loop: Any, error: Exception) -> str:
    """Return what a first step raised, beside the sizes it was made with."""
    model = getattr(model, 'module', model)
    try:
        inputs = loop.dataloader.dataset[0]['inputs']
        views = inputs if isinstance(inputs, list | tuple) else [inputs]
        shapes = ', '.join(str(tuple(view.shape)) for view in views)
    except Exception:  # what the step died of, perhaps
        shapes = 'not known'
    sizes = {
        name: getattr(model.backbone, name)
        for name in ('img_size', 'patch_size', 'in_channels')
        if hasattr(getattr(model, 'backbone', None), name)
    }
    return (
        f'{type(model).__name__} failed before the end of its first step: {error}. '
        'Its views are '
        f'{shapes} (C, H, W), {loop.dataloader.batch_size} per batch; the backbone has '
        f'{sizes}: do crop, img_size, patch_size, channels and batch_size fit together?'
    )


def check_length(loop: Any, loader: Any, world_size: int) -> None:
    """Raise ValueError if the run would make no step."""
    batches = getattr(loader, 'batch_sampler', None)  # PyTorch makes one
    sampler = type(getattr(batches, 'sampler', None)).__name__
    if 'Infinite' not in sampler and not len(loader):
        size = getattr(batches, 'batch_size', loader.batch_size)
        raise ValueError(
            f'{len(loader.dataset)} training images make no batch of {size} with '
            f'drop_last=True on {world_size} processes: set '
            'train_dataloader.batch_size to less, or drop_last=False'
        )
    if loop.max_iters < 1:
        raise ValueError(
            f'the run has {loop.max_epochs} epochs and {loop.max_iters} iterations: '
            'set train_cfg.max_epochs or max_iters to at least 1'
        )


def other_length(cfg: Any) -> str:
    """Say it if a decay of the config has another length than its run, else nothing."""
    length = cfg.get('train_cfg') or {}
    by_epoch = length.get('max_epochs') is not None
    total = length.get('max_epochs' if by_epoch else 'max_iters')
    schedulers = cfg.get('param_scheduler') or []
    ends = [
        one['T_max'] + one.get('begin', 0)
        if one.get('T_max')
        else one.get('end', total)
        for one in (schedulers if isinstance(schedulers, list) else [schedulers])
        if one.get('by_epoch', True) == by_epoch
        and re.search('Cosine|Poly', str(one.get('type')))
    ]
    if not ends or not total or max(ends) in (inf, total):
        return ''
    return (
        f'the schedule decays over {max(ends)} {"epochs" if by_epoch else "iterations"}'
        f' and the run has {total}: change end and T_max in param_scheduler, too'
    )


def partly_frozen(model: Any) -> str:
    """Say it if a ViT trains its last blocks only, as a probe of a deeper one would."""
    backbone = getattr(getattr(model, 'module', model), 'backbone', None)
    frozen, depth = getattr(backbone, 'frozen_stages', 0) or 0, 0
    with suppress(TypeError):
        depth = len(getattr(backbone, 'layers', ()))
    if not 0 < frozen < depth:
        return ''
    return (
        f'{depth - frozen} of the {depth} blocks of {type(backbone).__name__} are '
        f'trained: a frozen one needs frozen_stages={depth} instead of {frozen}'
    )


@contextmanager
def only_run_in(work_dir: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs; on every process.

    A lock of the operating system's, which ends with the process, however it ends, and
    is not inherited by loader workers. If another run is there, all are refused.
    """
    from mmengine.dist import broadcast_object_list, is_main_process

    file, problem = None, ''
    if is_main_process():
        file, problem = _lock(Path(work_dir))
    problems = [problem]
    broadcast_object_list(problems)
    try:
        if problems[0]:
            raise ValueError(problems[0])
        yield
    finally:
        if file is not None:
            file.close()


def _lock(work_dir: Path) -> tuple[Any, str]:
    """Return the locked file, or None where there are no locks, and what is wrong."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None, ''
    file = (work_dir / LOCK).open('a+')
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        if not isinstance(error, BlockingIOError | PermissionError):
            return None, ''  # a file system without locks
        return None, (
            f'another run ({owner or "of another machine"}) trains in {work_dir}: give '
            'this one a folder of its own (--work-dir), or end the other'
        )
    file.truncate(0)
    file.write(f'process {os.getpid()} on {os.uname().nodename}')
    file.flush()
    return file, ''


def remove_torn(work_dir: str | Path) -> None:
    """Remove what killed runs have left of checkpoints."""
    from mmengine.dist import is_main_process

    if is_main_process():
        for path in Path(work_dir).glob('.*.tmp.pth'):
            path.unlink()


def _remove(hook: Any, step: int) -> None:
    """Remove a checkpoint of CheckpointHook, as that does."""
    from mmengine.dist import is_main_process

    if not is_main_process():
        return
    backend = hook.file_backend
    path = backend.join_path(hook.out_dir, hook.filename_tmpl.format(step))
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)
