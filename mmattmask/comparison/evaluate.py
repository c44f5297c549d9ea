"""What a finished run is worth: k-NN, linear probe, and fine-tuning if asked for."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from mmattmask.comparison.files import go_on
from mmattmask.evaluation.eval_data import (
    LabelledImages,
    Transforms,
    check_same_classes,
    labelled_images,
    steps_of,
    whole_view,
)
from mmattmask.evaluation.extraction import extract_features
from mmattmask.evaluation.features import FrozenFeatures, Kind
from mmattmask.evaluation.frozen_backbone import load_backbone, normalisation_of
from mmattmask.evaluation.knn import knn_accuracy, nearest_neighbours
from mmattmask.evaluation.linear import SWEEP
from mmattmask.evaluation.linear_probe import (
    LinearProbe,
    ProbeSettings,
    fixed_features,
)
from mmattmask.evaluation.ridge import held_out, ridge_accuracy
from mmattmask.launching import drop_amp_without_accelerator, set_loader_defaults
from mmattmask.scorers.self_attention import image_size_of


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How runs are evaluated; the same for all of them.

    Attributes:
        train: Config of the labelled dataset to learn from.
        test: Config of the one that is classified.
        features: Of which tokens; see :class:`FrozenFeatures`. Ridge regression has all
            of them side by side.
        k: Neighbours that vote; 0 leaves k-NN out.
        linear_epochs: Of the linear probe on features made once; 0 leaves it out.
        finetune: Config of a transfer run whose ``model.backbone.init_cfg`` takes the
            checkpoint, below the comparison's folder; None leaves it out.
        batch_size: Images per step.
        num_workers: Loader processes.
    """

    train: dict[str, Any]
    test: dict[str, Any]
    features: Sequence[Kind] = ('cls', 'mean')
    k: int = 20
    linear_epochs: int = 20
    finetune: str | None = None
    batch_size: int = 256
    num_workers: int = 0

    def __post_init__(self) -> None:
        if self.k < 0 or self.linear_epochs < 0:
            raise ValueError(
                f'k ({self.k}) and linear_epochs ({self.linear_epochs}) must be at '
                'least 0'
            )

    def images(
        self, size: tuple[int, int], steps: Transforms = ()
    ) -> tuple[LabelledImages, LabelledImages]:
        """Return labelled images to learn from and to classify, in (H, W) px.

        ``steps`` are the training pipeline's, see ``labelled_images``.
        """
        train, test = (
            labelled_images(config, whole_view(size), size, steps)
            for config in (self.train, self.test)
        )
        check_same_classes(train, test)
        return train, test


def evaluate(
    evaluation: Evaluation, cfg: Config, checkpoint: Path, work_dir: Path, device: str
) -> dict[str, float]:
    """Return top-1 accuracies of a checkpoint in percent on the test images.

    Measures are ``knn_cls``, ``linear_mean``, ``ridge``, ``finetune`` and so on. Of
    iBOT the teacher is evaluated; the work dir is for the probe and the fine-tuning.
    """
    backbone, _ = load_backbone(cfg.model.backbone.to_dict(), checkpoint)
    model = FrozenFeatures(backbone, evaluation.features, normalisation_of(cfg)).to(
        device
    )
    loading = (evaluation.batch_size, evaluation.num_workers)
    train, test = evaluation.images(image_size_of(backbone), steps_of(cfg))
    bank, labels = extract_features(model, train, 'train', *loading)
    query, target = extract_features(model, test, 'test', *loading)
    results = {}
    for kind in evaluation.features:
        if evaluation.k:
            similarity, rows = nearest_neighbours(query[kind], bank[kind], evaluation.k)
            found = knn_accuracy(similarity, labels[rows], target, (evaluation.k,))
            results[f'knn_{kind}'] = found[evaluation.k].top1
        if evaluation.linear_epochs:
            state = work_dir / f'linear-{kind}.pth'
            learnt_from, asked = (bank[kind], labels), (query[kind], target)
            results[f'linear_{kind}'] = linear_accuracy(
                learnt_from, asked, evaluation.linear_epochs, state, device
            )
    columns, queries = (
        torch.cat([features[kind] for kind in evaluation.features], dim=1)
        for features in (bank, query)
    )
    results['ridge'] = ridge_accuracy(columns, labels, queries, target)
    if evaluation.finetune is not None:
        results['finetune'] = finetune(
            evaluation.finetune, checkpoint, work_dir / 'finetune'
        )
    return results


def linear_accuracy(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    epochs: int,
    state: Path,
    device: str,
) -> float:
    """Return the test accuracy of a linear probe after its last epoch, in percent.

    Both sets are features (N, D) and class indices (N,). The learning rate, one of 45,
    is chosen on every tenth training image, which the probe does not learn from; the
    test images choose nothing. Features are standardised with the training features'
    mean and standard deviation. An interrupted probe goes on from its state.
    """
    features, labels = train
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    features, query = (features - mean) / std, (test[0] - mean) / std
    held = held_out(labels)
    settings = ProbeSettings(SWEEP, epochs)
    classes = int(labels.max()) + 1
    probe = LinearProbe(settings, features.shape[1], classes, state, device)
    own, chosen_on = ~held, (features[held], labels[held])
    batches = fixed_features(features[own], labels[own], device)
    history = probe.run(int(own.sum()), batches, *chosen_on)
    best = int(history.accuracy[-1, :, 0].argmax())
    return float(probe.sweep.accuracy(query, test[1])[best, 0])


def finetune(config: str, checkpoint: Path, work_dir: Path) -> float:
    """Fine-tune by a config; return its last top-1 in percent, or ValueError."""
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
    go_on(cfg, work_dir)
    set_loader_defaults(cfg, ('train_dataloader', 'val_dataloader'), {})
    drop_amp_without_accelerator(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    metrics = runner.val_loop.run()  # val() begins EMAHook's average anew
    if 'accuracy/top1' not in metrics:
        raise ValueError(f'{config} measures {sorted(metrics)}, not accuracy/top1')
    return float(metrics['accuracy/top1'])
