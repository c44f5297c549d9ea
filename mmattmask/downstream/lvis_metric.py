"""LVIS evaluation with any numpy."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from mmdet.evaluation import LVISMetric as StockLVISMetric

from mmattmask.registry import METRICS


@METRICS.register_module()
class LVISMetric(StockLVISMetric):
    """MMDetection's LVISMetric; its arguments and results."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate all predictions.

        Release 0.5.3 of lvis, the last on PyPI, uses ``np.float``, which numpy 1.24
        removed. Only the name ``np`` in its evaluator changes, numpy does not.
        """
        with_float = SimpleNamespace(**{**vars(np), 'float': float})
        with patch('lvis.eval.np', with_float):
            return super().compute_metrics(results)
