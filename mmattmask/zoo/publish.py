"""Make an entry of the zoo from a finished run."""

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor, nn

from mmattmask.export import load_matched
from mmattmask.export.convert import sha256_of
from mmattmask.export.vit_keys import pick_network, read_checkpoint
from mmattmask.scorers.self_attention import image_size_of
from mmattmask.version import __version__
from mmattmask.zoo import entries
from mmattmask.zoo.models import build

MAX_BYTES = 10_000_000  # of a file of weights; the wheel carries them all
NAME = re.compile(r'[a-z0-9]+([-_.][a-z0-9]+)*')
PRECISIONS = {'float32': torch.float32, 'float16': torch.float16}
# Largest difference of features, relative to the largest feature. float32 is exact;
# float16 has 11 bits, which some ten layers add up.
TOLERANCES = {'float32': 0.0, 'float16': 1e-2}
NUM_IMAGES = 8  # random ones, for this comparison
# What describes the training; all else is about the machine it ran on.
KEPT = (
    *('default_scope', 'custom_imports', 'data_preprocessor', 'model'),
    *('train_dataloader', 'optim_wrapper', 'auto_scale_lr', 'train_cfg'),
    *('param_scheduler', 'custom_hooks', 'randomness'),
)
REQUIRED = ('data', 'budget', 'machine', 'results')


@dataclasses.dataclass(frozen=True)
class Published:
    """What was written.

    Attributes:
        entry: The new entry.
        size: Of its weights in bytes.
        precision: ``'float32'`` or ``'float16'``.
        difference: Of features, relative to the largest.
        dropped: Names in the checkpoint's weights that the model does not have.
    """

    entry: entries.Entry
    size: int
    precision: str
    difference: float
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        """Return lines for people."""
        return (
            f'{self.entry.folder}: {self.size / 1e6:.2f} MB in {self.precision}, '
            f'features differ by {self.difference:.1e} of the largest '
            f'(at most {TOLERANCES[self.precision]:g})\n'
            f'{self.entry.provenance}\n'
            f'left out: {", ".join(self.dropped) or "no weights"}; optimizer, '
            'schedules, hooks\n'
        )


def publish_model(
    checkpoint: str | Path,
    name: str,
    config: str | Path,
    results: Mapping[str, Any],
    log: str | Path | None = None,
    precision: str | None = None,
    force: bool = False,
) -> Published:
    """Add a finished run to the zoo, complete or not at all.

    Args:
        checkpoint: MMEngine's file; optimizer and hooks in it are left out.
        name: Of the model: lower case, such as ``'amt_vit-tiny-p4_cifar10'``.
        config: The run's config.
        results: ``data``, ``budget`` and ``machine`` as text, and ``results``: a list
            of ``task``, ``dataset`` and ``metrics`` (numbers by their names). A
            ``source`` says which config the run's is made of (tools/compare.py).
        log: The run's ``scalars.json``. Defaults to those beside the checkpoint.
        precision: ``'float32'`` or ``'float16'``. Defaults to the first that fits.
        force: Whether an entry of this name may be replaced.

    Raises:
        ValueError: If the name or results are not complete, weights of the model are
            missing, the file is too large, or features change by more than tolerated.
        FileExistsError: If the entry is there and ``force`` is off.
        FileNotFoundError: If a file or the log is missing.
    """
    check_results(results)
    folder = entries.ENTRIES / name
    if not NAME.fullmatch(name):
        raise ValueError(
            f'{name!r} is not a name: lower case, digits, and - _ . inside'
        )
    if folder.exists() and not force:
        raise FileExistsError(f'{folder} is there already: --force replaces it')
    scalars = read_log(checkpoint, log)
    cfg = portable(Config.fromfile(config))
    content = read_checkpoint(checkpoint)
    state, _ = pick_network(content, None, checkpoint)
    preprocessor = cfg.get('data_preprocessor')
    model = build({'data_preprocessor': preprocessor, **cfg.model})
    load_matched(model, state, checkpoint)
    temporary = folder.with_name(f'.{name}.tmp')
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        weights = temporary / f'{name}.safetensors'
        chosen, difference = save_weights(model, weights, precision)
        (temporary / f'{name}.log.json').write_text(scalars)
        origin = results.get('source') or source_of(config)
        text = f'"""{name}: the whole config of a run of {origin}."""\n\n'
        (temporary / f'{name}.py').write_text(text + cfg.pretty_text)
        meta = metafile(name, cfg, content, results, weights, model)
        meta['Metadata'] |= {'Source Config': origin, 'Precision': chosen}
        text = yaml.safe_dump({'Models': [meta]}, sort_keys=False, allow_unicode=True)
        (temporary / entries.METAFILE).write_text(text, encoding='utf-8')
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    entry = entries.find_entry(name)
    dropped = tuple(sorted(set(state) - set(model.state_dict())))
    size = entry.weights.stat().st_size
    return Published(entry, size, chosen, difference, dropped)


def check_results(results: Mapping[str, Any]) -> None:
    """Raise ValueError unless data, budget, machine and numbers are named."""
    missing = [key for key in REQUIRED if not results.get(key)]
    if missing:
        raise ValueError(
            f'the results have no {", ".join(missing)}; they need {", ".join(REQUIRED)}'
        )
    for result in results['results']:
        lacking = {'task', 'dataset', 'metrics'} - set(result)
        numbers = result.get('metrics') or {}
        if lacking or not numbers:
            raise ValueError(
                f'the result {dict(result)} needs task, dataset and metrics'
            )
        for key, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f'the metric {key} must be a number, got {value!r}')


def read_log(checkpoint: str | Path, log: str | Path | None) -> str:
    """Return the scalars of a run, those before resumes first.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a line of them is not JSON.
    """
    folder = Path(checkpoint).parent
    files = [Path(log)] if log else sorted(folder.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'there is no */vis_data/scalars.json in {folder}: give --log'
        )
    lines = [line for file in files for line in file.read_text().splitlines() if line]
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f'line {number} of the log is not JSON: {error}'
            ) from error
    return ''.join(f'{line}\n' for line in lines)


def portable(cfg: Config) -> Config:
    """Return what describes the training, without folders of a machine."""
    content = cfg.to_dict()
    return Config({key: shortened(content[key]) for key in KEPT if key in content})


def shortened(value: Any) -> Any:
    """Replace absolute paths by their last part, wherever they are."""
    if isinstance(value, Mapping):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(shortened(item) for item in value)
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value


def source_of(config: str | Path) -> str:
    """Return how a config is called in the project: from ``configs`` on."""
    parts = Path(config).resolve().parts
    if 'configs' not in parts:
        return parts[-1]
    last = len(parts) - 1 - parts[::-1].index('configs')
    return '/'.join(parts[last:])


def save_weights(
    model: nn.Module, path: Path, precision: str | None = None
) -> tuple[str, float]:
    """Write a model's weights in the first precision that fits.

    Args:
        model: With its weights; afterwards with those of the file.
        path: The file.
        precision: The only one to try.

    Returns:
        The precision, and how much features differ.

    Raises:
        ValueError: If the file would be too large or features differ by too much.
    """
    full = {name: value.clone() for name, value in model.state_dict().items()}
    tried = []
    for name in [precision] if precision else PRECISIONS:
        state = {key: as_type(value, PRECISIONS[name]) for key, value in full.items()}
        save_file(state, path, metadata={'format': 'pt', 'written_by': __version__})
        size = path.stat().st_size
        if size > MAX_BYTES:
            tried.append(f'{size / 1e6:.2f} MB in {name}')
            continue
        difference = compare(model, full, state)
        if not difference <= TOLERANCES[name]:
            raise ValueError(
                f'in {name} features differ by {difference:.2e} of the largest, at '
                f'most {TOLERANCES[name]:g} is tolerated'
            )
        return name, difference
    raise ValueError(
        f'the weights take {", ".join(tried)}; at most {MAX_BYTES / 1e6:g} MB go into '
        'the package'
    )


def as_type(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a floating-point tensor; others stay."""
    return value.to(dtype if value.is_floating_point() else value.dtype).contiguous()


def compare(
    model: nn.Module, full: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> float:
    """Return how much a model's features differ with two sets of weights.

    Args:
        model: Ends with ``state``.
        full: Weights as they were trained.
        state: Weights as they were saved.

    Returns:
        The largest difference relative to the largest feature; infinite where a weight
        is not finite.
    """
    if not all(bool(value.isfinite().all()) for value in state.values()):
        return float('inf')
    generator = torch.Generator().manual_seed(0)
    size = image_size_of(model.backbone)
    images = torch.randn(NUM_IMAGES, 3, *size, generator=generator)
    features = []
    for weights in (full, state):
        model.load_state_dict(dict(weights))
        features.append(features_of(model, images))
    return float((features[0] - features[1]).abs().max() / features[0].abs().max())


@torch.no_grad()
def features_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return all features of normalised images, (B, ...)."""
    model.eval()
    found = model(images, mode='tensor')
    return found[-1] if isinstance(found, list | tuple) else found


def metafile(
    name: str,
    cfg: Config,
    content: Any,
    results: Mapping[str, Any],
    weights: Path,
    model: nn.Module,
) -> dict[str, Any]:
    """Return a model in the format of MMPretrain's model index."""
    run = content.get('meta') or {}
    metadata = {
        'Epochs': run.get('epoch', cfg.train_cfg.get('max_epochs')),
        'Batch Size': cfg.train_dataloader.batch_size,
        'Training Data': results['data'],
        'Training Resources': results['machine'],
        'Budget': results['budget'],
        'Parameters': sum(parameter.numel() for parameter in model.parameters()),
        'Bytes': weights.stat().st_size,
        'SHA256': sha256_of(weights),
        'Seed': run.get('seed'),
        'Log': f'{name}.log.json',
    }
    return {
        'Name': name,
        'Metadata': {k: v for k, v in metadata.items() if v is not None},
        'Results': [
            {
                'Task': result['task'],
                'Dataset': result['dataset'],
                'Metrics': dict(result['metrics']),
            }
            for result in results['results']
        ],
        'Weights': f'{entries.SCHEME}{name}',
        'Config': f'{name}.py',
    }
