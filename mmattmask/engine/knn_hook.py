"""k-NN accuracy of the frozen features while training goes on."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.utils import to_2tuple
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn

from mmattmask.dataset_configs import check_same_colours
from mmattmask.datasets.concat import bases
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import check_images, evaluating, image_pass
from mmattmask.engine.knn_sharing import gather, nearest_on_all_ranks
from mmattmask.engine.schedule import Schedule
from mmattmask.evaluation import knn_accuracy
from mmattmask.files import whole_file
from mmattmask.masking.options import check_options
from mmattmask.registry import HOOKS
from mmattmask.run_data import check_classes
from mmattmask.scorers.ema_teacher import teacher_backbone

Target = Literal['student', 'teacher']
# Features by name, (N, C) float32, and class indices, (N,), on the CPU.
Features = tuple[dict[str, Tensor], Tensor]


@HOOKS.register_module()
class KNNHook(Hook):
    """Measure weighted k-NN accuracy before, during and after training.

    The features are the final layer's CLS token (``cls``) and the mean of its patch
    tokens (``mean``) of whole images squashed to the input size. Accuracy goes to the
    log, to the visualizer and the message hub (``knn/cls_top1_k10`` and so on), and as
    one row to ``<work_dir>/knn.csv``. The random stream of training is not touched.

    k-NN accuracy of masked image models is low by nature: use it to compare runs and
    epochs, not methods of different kinds.

    Args:
        memory: Config of the labelled dataset that votes; the steps of its pipeline
            that are not random are used, with one resize. Without a pipeline images
            are loaded from files.
        query: Config of the labelled dataset that is classified.
        k: How many neighbours vote; at most all of the memory.
        temperature: A neighbour of cosine similarity s votes exp(s / temperature).
        interval: Epochs (or iterations) between measurements. Before training and after
            its end there is always one.
        begin: Epochs (or iterations) before the first measurement in between.
        by_epoch: Count epochs, or training iterations.
        input_size: Height and width in px. Defaults to the model's.
        batch_size: Images per step and rank. Defaults to training's.
        num_workers: Loader processes per rank. Defaults to training's.
        max_unreadable: More unreadable images than this per rank and dataset stop the
            run; fewer are named in the log and left out.
        target: Whose features: ``'student'``, or ``'teacher'`` for the EMA teacher,
            which the k-NN numbers of DINO, iBOT and AttMask are of.

    Raises:
        ValueError: If an option is out of range; before training, if the model has no
            such teacher.
    """

    priority = 'NORMAL'
    epoch_arguments = ('begin', 'interval')

    def __init__(
        self,
        memory: dict[str, Any],
        query: dict[str, Any],
        k: Sequence[int] = (10, 20),
        temperature: float = 0.07,
        interval: int = 10,
        begin: int = 0,
        by_epoch: bool = True,
        input_size: int | Sequence[int] | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        max_unreadable: int = 10,
        target: Target = 'student',
    ) -> None:
        check_options(target=(target, get_args(Target)))
        self.k = (k,) if isinstance(k, int) else tuple(k)
        if not self.k or min(self.k) < 1 or temperature <= 0:
            raise ValueError(
                f'k {self.k} must be at least 1 and temperature ({temperature}) '
                'positive'
            )
        self.schedule = Schedule(begin, interval, by_epoch)
        self.memory = memory
        self.query = query
        self.temperature = temperature
        self.input_size = None if input_size is None else tuple(to_2tuple(input_size))
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.max_unreadable = max_unreadable
        self.target = target

    def before_train(self, runner: Any) -> None:
        """Build both datasets, so that a wrong one is found before training."""
        self.check_model(runner)
        self.check_data(runner)

    def check_model(self, runner: Any) -> None:
        """Raise ValueError if the schedule never comes or there is no such encoder."""
        self.schedule.check(runner, type(self).__name__)
        model = get_ori_model(runner.model)
        if self.target == 'teacher' and teacher_backbone(model) is None:
            raise ValueError(
                "KNNHook(target='teacher') needs a model with an EMA teacher of its "
                f'backbone, such as mmattmask.IBOT, got {type(model).__name__}'
            )

    def check_data(self, runner: Any) -> None:
        """Raise ValueError if images cannot be read, or classes or colours differ."""
        size = self.input_size or get_ori_model(runner.model).backbone.img_size
        memory, memory_config = _build_labelled('memory', self.memory)
        query, query_config = _build_labelled('query', self.query)
        training = runner.cfg.train_dataloader.dataset
        check_same_colours(training=training, memory=memory_config, query=query_config)
        self._images = {
            'memory': WholeImages(bases(memory), size),
            'query': WholeImages(bases(query), size),
        }
        for images in self._images.values():
            check_images(runner, images)
        check_classes(memory=memory, query=query)

    def before_train_epoch(self, runner: Any) -> None:
        """Measure by epoch."""
        if self.schedule.by_epoch and self._is_due(runner):
            self.measure(runner)

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Measure by iteration."""
        if not self.schedule.by_epoch and self._is_due(runner):
            self.measure(runner)

    def after_train(self, runner: Any) -> None:
        """Measure what training came to."""
        self.measure(runner)

    def _is_due(self, runner: Any) -> bool:
        now = self.schedule.now(runner)
        return now == 0 or self.schedule.is_due(now)

    def measure(self, runner: Any) -> dict[str, float]:
        """Classify the query images, on all ranks; report and return percents by name.

        Raises:
            ValueError: If an image has no label.
        """
        memory, labels = self._features(runner, 'memory')
        query, target = self._features(runner, 'query')
        device = next(runner.model.parameters()).device
        target = gather(target).to(device)
        num_memory = int(gather(torch.tensor([len(labels)])).sum())
        accuracy = {}
        for name in memory:
            nearest = nearest_on_all_ranks(
                gather(query[name]).to(device), memory[name], labels, max(self.k)
            )
            results = knn_accuracy(*nearest, target, self.k, self.temperature)
            for k, result in results.items():
                accuracy[f'{name}_top1_k{k}'] = result.top1
                accuracy[f'{name}_top5_k{k}'] = result.top5
        if get_rank() == 0:
            self._report(runner, accuracy, num_memory, len(target))
        return accuracy

    def _features(self, runner: Any, name: str) -> Features:
        """Return this rank's share of the features of one dataset."""
        features: dict[str, list[Tensor]] = {}
        ids, labels = [], []
        with evaluating(runner) as model:
            backbone = get_ori_model(model).backbone
            for batch in image_pass(
                runner,
                self._images[name],
                self.batch_size,
                self.num_workers,
                f'k-NN {name}',
                max_unreadable=self.max_unreadable,
            ):
                if self.target == 'student':
                    tokens = model(batch.inputs, mode='tensor')[-1]
                else:
                    teacher: Any = teacher_backbone(model)
                    tokens = teacher(batch.inputs, mask=None)[-1]
                for key, pooled in pool_tokens(backbone, tokens).items():
                    features.setdefault(key, []).append(pooled.float().cpu())
                ids.append(batch.ids)
                labels.append(batch.labels)
        kept = torch.cat(ids) >= 0
        own = torch.cat(labels)[kept]
        missing = int(gather((own < 0).sum()[None]).sum())
        if missing:
            raise ValueError(f'KNNHook: {missing} images of {name} have no label')
        return {key: torch.cat(parts)[kept] for key, parts in features.items()}, own

    def _report(
        self, runner: Any, accuracy: dict[str, float], memory: int, query: int
    ) -> None:
        now, unit = self.schedule.now(runner), self.schedule.unit
        top1 = [f'{name} {v:.1f}' for name, v in accuracy.items() if 'top1' in name]
        runner.logger.info(
            f'k-NN after {now} {unit}s ({query} images against {memory}), accuracy in '
            f'%: {", ".join(top1)}'
        )
        scalars = {f'knn/{name}': value for name, value in accuracy.items()}
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        runner.visualizer.add_scalars(scalars, step=now)
        write_row(Path(runner.work_dir) / 'knn.csv', unit, now, accuracy)


def pool_tokens(backbone: nn.Module, tokens: Tensor) -> dict[str, Tensor]:
    """Return ``mean`` of the patch tokens and, if there is one, ``cls``, (B, C) each.

    Tokens are (B, extra + L, C), extra ones as the backbone says, or maps (B, C, h, w).
    """
    if tokens.ndim == 4:
        return {'mean': tokens.mean(dim=(2, 3))}
    has_cls = getattr(backbone, 'cls_token', None) is not None
    num_extra = getattr(backbone, 'num_extra_tokens', int(has_cls))
    features = {'cls': tokens[:, 0]} if has_cls else {}
    return {**features, 'mean': tokens[:, num_extra:].mean(dim=1)}


def write_row(path: Path, unit: str, now: int, values: dict[str, float]) -> None:
    """Add a row to a CSV file; rows of a later or the same time are of a former run."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline='') as file:
            rows = [
                row for row in csv.DictReader(file) if int(row.get(unit, now)) < now
            ]
    rows.append({unit: now, **{key: f'{value:.3f}' for key, value in values.items()}})
    with whole_file(path) as temporary, temporary.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[-1], restval='', extrasaction='ignore')
        writer.writeheader()
        writer.writerows(rows)


def _build_labelled(name: str, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build a dataset that loads images; return it and its config.

    ValueError if it does not know their classes.
    """
    dataset = DATASETS.build(config)
    info = dataset.get_data_info(0)
    if 'gt_label' not in info:
        raise ValueError(f'KNNHook: the images of the {name} dataset have no labels')
    loading = _with_loading(config)
    if 'img' not in info and loading != config:
        return DATASETS.build(loading), loading
    return dataset, config


def _with_loading(config: dict[str, Any]) -> dict[str, Any]:
    """Let a dataset, inside all wrappers, load files if it does not say what to do."""
    if isinstance(config.get('dataset'), dict):
        return {**config, 'dataset': _with_loading(config['dataset'])}
    if config.get('pipeline'):
        return config
    return {**config, 'pipeline': [dict(type='LoadImageFromFile')]}
