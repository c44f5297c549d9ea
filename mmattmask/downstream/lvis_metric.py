"""LVIS evaluation with any numpy."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
from mmdet.evaluation import LVISMetric as StockLVISMetric

from mmattmask.registry import METRICS


@contextmanager
def float_for_lvis() -> Iterator[None]:
    """Let the evaluator of the lvis package find ``np.float`` for a while.

    Release 0.5.3, the last on PyPI, uses that alias of ``float``, which numpy 1.24
    removed. Only the name ``np`` in that one module changes, numpy does not.
    """
    evaluator: Any = import_module('lvis.eval')
    numpy = evaluator.np
    evaluator.np = SimpleNamespace(**{**vars(np), 'float': float})
    try:
        yield
    finally:
        evaluator.np = numpy


@METRICS.register_module()
class LVISMetric(StockLVISMetric):
    """MMDetection's LVISMetric; its arguments and results."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate all predictions."""
        with float_for_lvis():
            return super().compute_metrics(results)
