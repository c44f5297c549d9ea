"""Files of a comparison: written whole or not at all, found after a kill."""

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmattmask.files import write_text

CONFIG, JOB, ROW, LOCK = 'config.py', 'job.json', 'row.json', 'lock'
DIAGNOSTICS = 'diagnostics.json'  # further numbers about a run, columns of the tables
RULE = 'content.json'  # by which they were measured, if compare did it
POINTER = 'last_checkpoint'  # MMEngine's
# Where configs have their scorer: guided hosts, and stock ones with their masks given.
SCORERS = ('model.scorer', 'model.data_preprocessor.scorer', 'data_preprocessor.scorer')


def write_json(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + '\n')


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, even of a moved one, or None."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    path = folder / Path(pointer.read_text().strip()).name
    return path if path.exists() else None


def scorer_key(cfg: Config) -> str | None:
    """Return where a config has its scorer, or None if it has none."""
    for key in SCORERS:
        found: Any = cfg
        for name in key.split('.'):
            found = (found or {}).get(name)
        if found:
            return key
    return None


def give_teacher(cfg: Config, checkpoint: str | None) -> None:
    """Write a frozen teacher's checkpoint, if there is one, into a config."""
    if checkpoint is not None:
        cfg.merge_from_dict({f'{scorer_key(cfg)}.checkpoint': checkpoint})


def go_on(cfg: Config, folder: Path) -> None:
    """Let a config train in a folder, from its last checkpoint on if there is one.

    MMEngine deletes an old checkpoint before it has written the new one: with two, a
    kill in between leaves one.
    """
    cfg.work_dir = str(folder)
    checkpoint = last_checkpoint(folder)
    cfg.resume = checkpoint is not None
    # a first start may be from weights that the config names
    cfg.load_from = str(checkpoint) if checkpoint else cfg.get('load_from')
    hook = cfg.setdefault('default_hooks', {}).get('checkpoint')
    if hook and 0 < hook.get('max_keep_ckpts', -1) < 2:
        hook.max_keep_ckpts = 2
