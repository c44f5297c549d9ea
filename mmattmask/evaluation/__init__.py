"""Measures of how good features are."""

from mmattmask.evaluation.knn import (
    KNNResult,
    knn_accuracy,
    nearest_neighbours,
    vote,
)

__all__ = ['KNNResult', 'knn_accuracy', 'nearest_neighbours', 'vote']
