"""Policies side by side: same backbone, seeds and budget, one table at the end."""

from mmattmask.comparison.analysis import differences, fit, judge
from mmattmask.comparison.evaluate import Evaluation, evaluate
from mmattmask.comparison.plan import Comparison, Entry, Run, read_comparison
from mmattmask.comparison.pool import Pool
from mmattmask.comparison.report import write_results
from mmattmask.comparison.stretch import stretch
from mmattmask.comparison.study import Study

__all__ = [
    'Comparison',
    'Entry',
    'Evaluation',
    'Pool',
    'Run',
    'Study',
    'differences',
    'evaluate',
    'fit',
    'judge',
    'read_comparison',
    'stretch',
    'write_results',
]
