"""Policies side by side: same backbone, seeds and budget, one table at the end."""

from mmattmask.comparison.evaluate import Evaluation, evaluate
from mmattmask.comparison.plan import Comparison, Entry, Run, read_comparison
from mmattmask.comparison.pool import Pool
from mmattmask.comparison.report import write_results
from mmattmask.comparison.stretch import stretch
from mmattmask.comparison.study import Study
from mmattmask.comparison.table import Estimate, Summary, summaries

__all__ = [
    'Comparison',
    'Entry',
    'Estimate',
    'Evaluation',
    'Pool',
    'Run',
    'Study',
    'Summary',
    'evaluate',
    'read_comparison',
    'stretch',
    'summaries',
    'write_results',
]
