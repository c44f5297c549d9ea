"""Reports: one HTML page with everything in it, and the charts that go there."""

from mmattmask.reporting.charts import intervals, save_figure
from mmattmask.reporting.machine import machine
from mmattmask.reporting.page import Page

__all__ = ['Page', 'intervals', 'machine', 'save_figure']
