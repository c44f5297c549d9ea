"""Whether the score of a finished run follows content or place: Gate A's columns."""

import json
import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from mmattmask.comparison.files import (
    CONFIG,
    DIAGNOSTICS,
    JOB,
    RULE,
    give_teacher,
    last_checkpoint,
    scorer_key,
    write_json,
)
from mmattmask.comparison.fingerprint import file_hash
from mmattmask.inspection.score import content_of_score

IMAGES = 400  # looked at, unless the comparison says another number


def measure_content(folder: Path, asked: dict[str, Any]) -> None:
    """Write ``diagnostics.json`` of a finished run that has a score.

    ``asked`` may have ``index``, a CSV file of annotated images, instead of the
    training images, and ``images``, how many. Another rule measures again. Maps that
    are looked up are always those of training images: their AUC is not known. Others
    are looked at as the model makes them, before ``debias`` and ``ShuffledMaps``.
    """
    cfg = Config.fromfile(folder / CONFIG)
    checkpoint = last_checkpoint(folder)
    number, index = asked.get('images', IMAGES), asked.get('index')
    rule = dict(images=number, index=index and file_hash(index))
    if checkpoint is None or not scorer_key(cfg):
        return
    if (folder / DIAGNOSTICS).exists():  # perhaps of somebody else
        kept = folder / RULE
        if not kept.exists() or json.loads(kept.read_text()) == rule:
            return
    give_teacher(cfg, json.loads((folder / JOB).read_text())['teacher'])
    init_default_scope('mmpretrain')
    try:
        content = content_of_score(cfg, str(checkpoint), number, index)
    except ValueError as error:
        print_log(f'{folder.name}: {error}', logger='current', level=logging.WARNING)
        return
    numbers = dict(position_share=content.position_share)
    if content.auc_gain is not None:
        numbers['auc'] = content.auc['score']
        numbers['auc_minus_shuffled'] = content.auc_gain
    rounded = {name: round(value, 4) for name, value in numbers.items()}
    write_json(folder / DIAGNOSTICS, rounded)
    write_json(folder / RULE, rule)
