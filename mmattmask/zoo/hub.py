"""The zoo's models for MMPretrain's own functions, under their names."""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.apis.model import ModelHub

from mmattmask.export.vit_keys import read_state_dict
from mmattmask.zoo.entries import METAFILE, SCHEME, find_entry, list_models


def register() -> list[str]:
    """Let MMPretrain and MMEngine find the zoo; calling it again changes nothing.

    After it ``mmpretrain.get_model(NAME, pretrained=True)`` and
    ``mmpretrain.list_models()`` know our models, and ``'mmattmask://NAME'`` is a
    checkpoint for ``load_from`` and any ``init_cfg``. It is not done by ``import
    mmattmask``, which would import all of MMPretrain then.

    Returns:
        The names of the models.
    """
    CheckpointLoader.register_scheme(SCHEME, read_for_mmengine, force=True)
    names = list_models()
    for name in names:
        if not ModelHub.has(name):
            ModelHub.register_model_index(find_entry(name).folder / METAFILE)
    return names


def read_for_mmengine(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read ``'mmattmask://NAME'`` as MMEngine reads a checkpoint."""
    state = read_state_dict(filename)
    device = map_location if isinstance(map_location, str) else 'cpu'
    state = {name: value.to(device) for name, value in state.items()}
    return dict(state_dict=state, meta={})
