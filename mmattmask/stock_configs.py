"""Stock configs of packages that are installed under another distribution's name."""

from importlib import metadata
from importlib.util import find_spec

from mmengine.config import utils


def find_mmseg_configs() -> None:
    """Let ``_base_ = 'mmseg::...'`` find MMSegmentation's configs on every runtime.

    MMEngine takes the module ``mmseg`` for a part of a distribution ``mmsegmentation``
    and finds none where ``onedl-mmsegmentation`` is installed. There it is told to look
    for the module itself; elsewhere this does nothing. A config that inherits
    ``mmseg::`` bases calls it by its first base, so that it works in tools that know
    nothing of mmattmask.
    """
    try:
        metadata.version('mmsegmentation')
    except metadata.PackageNotFoundError:
        if find_spec('mmseg') is not None:
            utils.MODULE2PACKAGE['mmseg'] = 'mmseg'
