"""No step of any cell waits for the device, and masks are a few operations."""

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException

from mmattmask.models.data_preprocessor import AsyncCopies
from mmattmask.models.guidance import CHECKED_BATCHES, Guidance
from mmattmask.registry import TASK_UTILS
from mmattmask.scorers import CachedAttention
from tests.fake_cuda import Watch, fake_cuda
from tests.host_matrix import POLICIES, build, policy, sources
from tests.tiny_hosts import HOSTS, Host

# MMPretrain's own: masked tokens are picked by a boolean index
STOCK_WAITS = {
    'BEiT': ['beitv1_head.py: aten::index'],
    'CAE': ['cae.py: aten::index'],
}
# hosts without a cell that trains
REFUSED = {'MixMIM', 'SparK'}
# of a policy alone, on the device
MOST_OPERATIONS = {
    'random': 10,
    'block-wise': 30,
    **dict.fromkeys(('AM', 'AMT', 'MILAN', 'AdaMAE'), 20),
    **dict.fromkeys(('uniform', 'uniform, guided'), 20),
    'GPA': 30,
    **dict.fromkeys(('AttMask High', 'AttMask Low', 'MST'), 40),
    **dict.fromkeys(('AttMask, drawn ratio', 'AttMask, some images'), 40),
    'AttMask Hint': 50,
    **dict.fromkeys(('colour noise', 'SemMAE'), 60),
}


def on_fake_cuda(model: nn.Module, host: Host, training: bool = True) -> Watch:
    """Run a step after the first ones, whose values are looked at."""
    model.train(training)
    for module in model.modules():
        if isinstance(module, Guidance):
            module._num_batches = CHECKED_BATCHES
    preprocessor = model.data_preprocessor
    assert isinstance(preprocessor, AsyncCopies)
    preprocessor.reverses_channels = True  # configs have images in BGR
    batch = host.batch()
    with fake_cuda() as watch:
        model.to('cuda')
        watch.clear()
        try:
            model(**preprocessor(batch, training), mode='loss')
        except DynamicOutputShapeException:  # of a boolean index, which is noted
            assert watch.waits
    return watch


@pytest.mark.parametrize('host_name', HOSTS)
def test_no_cell_waits_for_the_device(host_name):
    """Every policy once in each host, every source with each policy and host."""
    host, watched = HOSTS[host_name], {}
    for number, name in enumerate(POLICIES, list(HOSTS).index(host_name)):
        given = sources(name)
        first = number % len(given)
        for source in given[first:] + given[:first]:
            with suppress(ValueError):  # test_host_matrix: what is refused, and why
                watched[name, source] = on_fake_cuda(build(host, name, source), host)
                break
    assert (not watched) == (host_name in REFUSED)
    expected = STOCK_WAITS.get(host_name, [])
    waits = {cell: watch.waits for cell, watch in watched.items()}
    assert {cell: found for cell, found in waits.items() if found != expected} == {}
    # pictures; of each masked view its place and map, or its blocks
    pictures, views = host.batch()['inputs'], 1
    if not isinstance(pictures, torch.Tensor):
        views = 2 if host.small else 1
    most = (1 if isinstance(pictures, torch.Tensor) else len(pictures)) + 2 * views
    assert all(watch.copies <= most for watch in watched.values())


@pytest.mark.parametrize('host_name', ['SimMIM (ViT)', 'SimMIM (Swin)', 'MaskFeat'])
def test_masks_of_the_pipeline_are_one_copy(host_name):
    host = HOSTS[host_name]
    model = host.build(policy('AM'), dict(type='mmattmask.CachedAttention'))
    watch = on_fake_cuda(model, host)
    assert watch.waits == []
    assert watch.copies == 2


@pytest.mark.parametrize('name', POLICIES)
def test_masks_are_a_few_operations(name):
    generator = TASK_UTILS.build(policy(name))
    score = torch.rand(8, 196)
    score = (4 * score).long() if generator.takes_labels else score
    with fake_cuda() as watch:
        score = score.to('cuda')
        watch.clear()
        decide = generator.mask if generator.variable_counts else generator
        decide(score, None, 0.5, (14, 14))
    assert watch.waits == []
    assert len(watch.operations) <= MOST_OPERATIONS[name], watch.operations


@pytest.mark.parametrize('crop_mode', ['aligned', 'official'])
def test_both_crops_of_a_map_wait_for_nothing(crop_mode):
    host = HOSTS['MAE']
    model = build(host, 'AMT', 'self')
    scorer = model.guidance.scorer
    assert isinstance(scorer, CachedAttention)
    scorer.crop_mode = crop_mode
    assert on_fake_cuda(model, host).waits == []


@pytest.mark.parametrize(
    ('wait', 'name'),
    [
        (lambda x: torch.tensor([1.0, 2.0], device='cuda'), '_to_copy'),
        (lambda x: torch.ones(3).to('cuda'), '_to_copy'),
        (lambda x: x.to('cpu'), '_to_copy'),
        (lambda x: x.copy_(torch.ones(4)), 'copy_'),
        (lambda x: x[[2, 1, 0]], '_to_copy'),
        (lambda x: x[x > 0], 'index'),
        (lambda x: bool(x.any()), '_local_scalar_dense'),
        (lambda x: x.nonzero(), 'nonzero'),
        (lambda x: torch.equal(x, x), 'equal'),
    ],
)
def test_the_watch_knows_what_waits(wait, name):
    with fake_cuda() as watch:
        x = torch.zeros(4, device='cuda')
        try:
            wait(x)
        except Exception:  # a value or a shape that nobody knows
            assert watch.waits
    assert [each.rpartition('::')[2] for each in watch.waits] == [name]


def test_the_watch_lets_the_cpu_alone():
    with fake_cuda() as watch:
        x = torch.arange(3.0)
        assert x.sum().item() == 3
        assert x[x > 0].tolist() == [1, 2]
        x.to('cuda', non_blocking=True)
    assert watch.waits == []
    assert watch.operations == ['aten::_to_copy']
