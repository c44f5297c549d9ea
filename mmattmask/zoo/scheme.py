"""``'mmattmask://NAME'`` for MMEngine: for ``load_from`` and any ``init_cfg``."""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from mmattmask.zoo.entries import SCHEME


def register_scheme() -> None:
    """Let MMEngine read checkpoints of the zoo; calling it again changes nothing.

    ``mmattmask.registry`` does it, so it is done in every run with one of our types.
    """
    CheckpointLoader.register_scheme(SCHEME, read_for_mmengine, force=True)


def read_for_mmengine(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a model of the zoo as MMEngine reads a checkpoint.

    Args:
        filename: ``'mmattmask://NAME'``.
        map_location: A device, or None for the CPU. Other ways of torch to say where
            weights go are for weights that come from devices; these come from none.

    Raises:
        ValueError: If there is no such model or its file is not the published one.
    """
    from mmattmask.export.vit_keys import read_state_dict

    state = read_state_dict(filename)
    if isinstance(map_location, str):
        state = {name: value.to(map_location) for name, value in state.items()}
    return dict(state_dict=state, meta={})
