"""Gradients between processes in half precision."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@pytest.fixture
def process_group(tmp_path):
    store = distributed.FileStore(str(tmp_path / 'store'), 1)
    distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def gradient(model, compress):
    if compress:
        hook = HOOKS.build(dict(type='mmattmask.Fp16CompressionHook'))
        hook.before_train(SimpleNamespace(model=model))
    torch.manual_seed(0)
    model(torch.randn(4, 8)).square().sum().backward()
    return next(model.parameters()).grad


def test_gradients_are_rounded_on_their_way(process_group):
    torch.manual_seed(1)
    layer = nn.Linear(8, 3)
    exact = gradient(DistributedDataParallel(layer), compress=False).clone()
    layer.zero_grad()
    rounded = gradient(DistributedDataParallel(layer), compress=True)
    assert torch.equal(rounded, exact.half().float())
    assert not torch.equal(rounded, exact)


def test_one_process_sends_nothing():
    layer = nn.Linear(8, 3)
    exact = gradient(layer, compress=False).clone()
    layer.zero_grad()
    assert torch.equal(gradient(layer, compress=True), exact)
