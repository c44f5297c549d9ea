"""The demo behind ``make demo``: data, a short run, and a report of what came out."""

from mmattmask.demo.run import main

__all__ = ['main']
