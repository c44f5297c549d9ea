"""Build what a config describes, without memory for weights, data or downloads."""

import copy
import inspect
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS, DefaultScope
from mmengine.runner import Runner
from mmpretrain.models import BaseSelfSupervisor
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from mmattmask.config_values import check_values
from mmattmask.dataset_configs import base_datasets
from mmattmask.datasets.concat import bases
from mmattmask.datasets.recording import exchange_stock
from mmattmask.launching import without_amp
from mmattmask.models.guidance import Guidance, guidance_of
from mmattmask.run_guard import check_host
from mmattmask.runtime import lacking_hooks
from mmattmask.scorers import Scorer
from mmattmask.scorers.self_attention import image_size_of

NUM_TIMED, MOST_SECONDS = 32, 2.0  # images to measure the loader with


class UnreadableError(ValueError):
    """The file is no pre-training config."""


@dataclass
class BuiltConfig:
    """A config and what could be built of it.

    Attributes:
        name: File of the config.
        cfg: The config.
        model: The algorithm on the meta device.
        pipelines: The transforms of each training set's pipeline.
        hooks: The custom hooks that could be built.
        errors: One sentence for each part that could not be built.
        gpus: Of the run; None if neither the caller nor the file's name says it.
        device: Kind of this machine's device.
    """

    name: str
    cfg: Config
    model: BaseSelfSupervisor | None = None
    pipelines: list[list[Any]] | None = None
    hooks: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    gpus: int | None = None
    device: str = 'cpu'

    @property
    def guidance(self) -> Guidance | None:
        """Who decides on masks, or None."""
        return None if self.model is None else guidance_of(self.model)

    @property
    def scorer(self) -> Scorer | None:
        """The source of scores, or None."""
        return None if self.guidance is None else self.guidance.scorer

    @property
    def cached_scorer(self) -> Scorer | None:
        """The scorer if it waits for AttentionRefreshHook, or None."""
        scorer = self.scorer
        return scorer if scorer is not None and scorer.cached else None

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in px of the images that the model is built for."""
        assert self.model is not None
        return image_size_of(self.model.backbone)

    @property
    def grid(self) -> tuple[int, int]:
        """The cells (h, w) that the policy decides on."""
        assert self.guidance is not None
        return self.guidance.policy_grid(self.image_size)

    @property
    def total(self) -> tuple[int, str]:
        """Length of the run and its unit, ``'epoch'`` or ``'iter'``."""
        epochs = self.cfg.train_cfg.get('max_epochs')
        if epochs is not None:
            return int(epochs), 'epoch'
        return int(self.cfg.train_cfg.get('max_iters', 0)), 'iter'

    @cached_property
    def images(self) -> DataLoader | None:
        """The loader of the training images, or None where they are not here.

        What is wrong with images that are here is added to ``errors``.
        """
        paths = list(image_paths(self.cfg))
        if not paths or any(fetched or not path.exists() for path, fetched in paths):
            return None
        build, what = Runner.build_dataloader, 'the training images'
        with DefaultScope.overwrite_default_scope(self.cfg.default_scope):
            return _attempt(
                self, what, build, copy.deepcopy(self.cfg.train_dataloader), 0
            )

    @cached_property
    def loader_rate(self) -> float | None:
        """Images per second of one worker, or None where that cannot be known."""
        dataset = None if self.images is None else self.images.dataset
        if dataset is None or getattr(dataset, 'makes_batches', False):
            return None
        if self.hooks_of('FastLoaderHook'):
            with suppress(ValueError):  # as in a run
                for base in bases(dataset):
                    exchange_stock(base.pipeline.transforms)
        return measured_rate(dataset)

    def hooks_of(self, name: str) -> list[Any]:
        """Return the custom hooks of a class or its subclasses."""
        return [
            hook
            for hook in self.hooks
            if name in [cls.__name__ for cls in type(hook).__mro__]
        ]


def build_config(cfg: Config, name: str, gpus: int | None = None) -> BuiltConfig:
    """Build what a config describes; it is left as it is.

    GPUs that are not given are those of its name: ``_8xb512-`` says 8.

    Raises:
        UnreadableError: If it is no config of a pre-training.
    """
    for key in ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg'):
        if not cfg.get(key):
            raise UnreadableError(f'{name} has no {key}: it trains nothing')
    cfg = copy.deepcopy(cfg)
    cfg.setdefault('default_scope', 'mmpretrain')
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        kind = registry.get(cfg.model.get('type', ''))
    if isinstance(kind, type) and not issubclass(kind, BaseSelfSupervisor):
        raise UnreadableError(
            f'{name} trains {kind.__name__}: check reads configs of self-supervised '
            'pre-training only'
        )
    named = re.search(r'_(\d+)xb\d+-', Path(name).name)
    if gpus is None and named:
        gpus = int(named.group(1))
    built = BuiltConfig(name, cfg, gpus=gpus, device=get_device())
    _attempt(built, 'the config', check_values, cfg)
    logger = MMLogger.get_current_instance()
    with DefaultScope.overwrite_default_scope(cfg.default_scope), ExitStack() as stack:
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel('WARNING')  # a run's log names its parts, not every look
        built.model = _attempt(built, 'the model', build_model, cfg)
        built.pipelines = _attempt(built, 'the pipeline', build_pipelines, cfg)
        for config in cfg.get('custom_hooks') or []:
            what = f'custom hook {config.get("type")}'
            hook = _attempt(built, what, HOOKS.build, copy.deepcopy(config))
            built.hooks += [] if hook is None else [hook]
        for config in lacking_hooks(built.model, built.hooks, cfg.train_dataloader):
            built.hooks.append(HOOKS.build(config))
        with HOOKS.switch_scope_and_registry(cfg.default_scope) as registry:
            for hook, config in (cfg.get('default_hooks') or {}).items():
                if config and registry.get(config.get('type', '')) is None:
                    text = f'default hook {hook}: there is no hook {config.get("type")}'
                    built.errors.append(text)
        if built.model is not None:
            kind = (cfg.optim_wrapper.get('optimizer') or {}).get('type')
            wrapper = copy.deepcopy(without_amp(cfg.optim_wrapper))
            what = f'the optimizer {kind}'
            _attempt(built, what, build_optim_wrapper, built.model, wrapper)
        if built.guidance is not None:
            _attempt(built, 'the masks', check_host, built.model)
    return built


def _attempt(built: BuiltConfig, what: str, build: Any, *args: Any) -> Any:
    """Call a function; on any error note one sentence and return None."""
    try:
        return build(*args)
    except Exception as error:
        # MMEngine puts "class `X` in module: " in front, once for each nesting
        text = re.sub(r'^(class `\w+` in [\w/.]+: )+', '', str(error))
        built.errors.append(f'{what} cannot be built: {" ".join(text.split())}')
        return None


class _NumbersOnCPU(TorchFunctionMode):
    """Keep off the meta device what is read at once: stochastic depth, ratios."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.linspace, torch.tensor):
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


def build_model(cfg: Config) -> BaseSelfSupervisor:
    """Build the algorithm on the meta device, without its target generator.

    Those (CLIP, DALL-E) do not count for masks, and some download weights.
    """
    config = copy.deepcopy(cfg.model)
    config.pop('target_generator', None)
    preprocessor = config.get('data_preprocessor') or cfg.get('data_preprocessor')
    config['data_preprocessor'] = copy.deepcopy(preprocessor or {})
    _forget_weights(config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), on_meta():
        return MODELS.build(config)


@contextmanager
def on_meta() -> Iterator[None]:
    """Compute shapes only, but for what is read at once."""
    with torch.device('meta'), _NumbersOnCPU():
        yield


def _forget_weights(config: Any) -> None:
    """Let timm's models be built without a download."""
    if isinstance(config, dict):
        if str(config.get('type')).endswith(('TIMMBackbone', 'TimmViT')):
            config['pretrained'] = False
        for value in config.values():
            _forget_weights(value)


def image_paths(cfg: Config) -> Iterator[tuple[Path, bool]]:
    """Yield places of training images, and whether the run fetches what is there."""
    for dataset in base_datasets(cfg.train_dataloader.dataset):
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
            kind = registry.get(dataset.get('type', ''))
        options = inspect.signature(kind).parameters if kind is not None else {}
        downloads = 'download' in options and dataset.get('download', True)
        root, prefix = (dataset.get(k) or '' for k in ('data_root', 'data_prefix'))
        names = [prefix] if isinstance(prefix, str) else list(prefix.values())
        names += filter(None, [dataset.get('ann_file')])
        for name in names if root else filter(None, names):
            yield Path(root, name), downloads or '://' in f'{root}{name}'


def batch_sizes(cfg: Config, gpus: int | None) -> tuple[int, int, int]:
    """Return images per GPU and step, GPUs, and accumulated steps.

    Unknown GPUs are as many as make ``auto_scale_lr.base_batch_size``.
    """
    per_gpu = cfg.train_dataloader.get('batch_size', 1)
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    if gpus is None:
        scaling = cfg.get('auto_scale_lr') or {}
        base = scaling.get('base_batch_size') or per_gpu * accumulated
        wanted = base * scaling.get('accumulative_counts', 1)
        gpus = max(wanted // (per_gpu * accumulated), 1)
    return per_gpu, gpus, accumulated


def learning_rate(cfg: Config) -> float | None:
    """Return the optimizer's learning rate, or None."""
    return (cfg.optim_wrapper.get('optimizer') or {}).get('lr')


def measured_rate(dataset: Any) -> float | None:
    """Return the images per second of one core, by the process's own time.

    None where there are fewer than three images, or one cannot be loaded.
    """
    number, seconds = 0, 0.0
    try:
        dataset[0]  # whatever comes with a first time
        start = time.process_time()
        for number in range(1, min(len(dataset), NUM_TIMED)):
            dataset[number]
            seconds = time.process_time() - start
            if seconds > MOST_SECONDS:
                break
    except Exception:  # of any transform; findings say which
        return None
    return number / max(seconds, 1e-9) if number > 1 else None


def build_pipelines(cfg: Config) -> list[list[Any]]:
    """Build the transforms of the training pipelines, one for each base dataset."""
    return [
        [TRANSFORMS.build(transform) for transform in copy.deepcopy(pipeline)]
        for dataset in base_datasets(cfg.train_dataloader.dataset)
        if (pipeline := dataset.get('pipeline') or [])
    ]
