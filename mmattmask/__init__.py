"""Attention-guided masked image modeling for MMPretrain.

Importing the package registers nothing: MMEngine does that when it first meets a
``type='mmattmask.X'``. ``mmattmask.masking`` is plain torch and can be used alone.
"""

from mmattmask.version import __version__

__all__ = ['__version__']
