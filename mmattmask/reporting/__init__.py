"""Reports: one HTML page with everything in it, and the curves that go there."""

from mmattmask.reporting.curves import Curve, curves, mean_and_interval
from mmattmask.reporting.differences import config_differences
from mmattmask.reporting.machine import machine
from mmattmask.reporting.page import Page
from mmattmask.reporting.pictures import Picture, save_figure

__all__ = [
    'Curve',
    'Page',
    'Picture',
    'config_differences',
    'curves',
    'machine',
    'mean_and_interval',
    'save_figure',
]
