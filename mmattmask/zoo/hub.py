"""The zoo's models for MMPretrain's own functions, under their names."""

from mmpretrain.apis.model import ModelHub

from mmattmask.zoo.entries import METAFILE, find_entry, list_models
from mmattmask.zoo.scheme import register_scheme


def register() -> list[str]:
    """Let MMPretrain find the zoo; calling it again changes nothing.

    After it ``mmpretrain.get_model(NAME, pretrained=True)`` and
    ``mmpretrain.list_models()`` know our models. ``import mmattmask`` does not do it:
    MMPretrain's hub has no other way to learn of models than a call after its import,
    which takes seconds.

    Returns:
        The names of the models.
    """
    register_scheme()
    names = list_models()
    for name in names:
        if not ModelHub.has(name):
            ModelHub.register_model_index(find_entry(name).folder / METAFILE)
    return names
