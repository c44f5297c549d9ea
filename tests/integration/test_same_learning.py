"""What MMEngine may do to a step does not change what is learned, in any host.

Activation checkpointing, compilation, accumulation, mixed precision, several processes.
"""

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import runner  # whose functions are guarded
from torch.utils.checkpoint import checkpoint

from mmattmask.scorers.ema_teacher import teachers_of
from tests.processes import run_ranks

from .learning import CASES, batch_of, learn, loss_of, move_centers, rank, train

ROOT = Path(__file__).parents[2]
CLOSE = dict(rtol=1e-5, atol=1e-6)
# MMPretrain hands keywords to these blocks, which MMEngine's checkpointing refuses.
KEYWORDS = ('BEiT', 'CAE', 'MaskFeat')


@pytest.fixture(autouse=True)
def no_former_run(monkeypatch):
    """Soft-to-hard masks ask the last run of this process how far it is."""
    monkeypatch.setattr(MessageHub, '_instance_dict', OrderedDict())


@pytest.fixture(scope='module')
def plain():
    """Loss and gradients of a step to which nothing is done, once for each case."""
    known = {}

    def of(case):
        if case not in known:
            known[case] = learn(CASES[case](), batch_of(case))
        return known[case]

    return of


def assert_same(found, expected, **tolerance):
    (loss, grads), (wanted, wanted_grads) = found, expected
    torch.testing.assert_close(loss, wanted, **tolerance)
    assert grads.keys() == wanted_grads.keys()
    for name, value in wanted_grads.items():
        torch.testing.assert_close(
            grads[name], value, **tolerance, msg=lambda text, name=name: name + text
        )


def recomputed(module):
    forward = module.forward

    def call(*args, **kwargs):
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    module.forward = call


@pytest.mark.parametrize('case', CASES)
def test_recomputing_encoder_and_decoder(case, plain):
    model = CASES[case]()
    recomputed(model.backbone)
    if model.neck is not None:
        recomputed(model.neck)
    assert_same(learn(model, batch_of(case)), plain(case), rtol=0, atol=0)


@pytest.mark.parametrize('case', [c for c in CASES if not c.startswith(KEYWORDS)])
def test_mmengines_activation_checkpointing(case, plain):
    model = CASES[case]()
    inside = re.compile(r'backbone\.(layers|blocks)\.\d+')
    names = [name for name, _ in model.named_modules() if inside.fullmatch(name)]
    if model.neck is not None:
        names.append('neck')
    runner.turn_on_activation_checkpointing(model, names)
    assert_same(learn(model, batch_of(case)), plain(case), rtol=0, atol=0)


@pytest.mark.parametrize(
    ('case', 'name'),
    [
        ('MAE, AMT', 'backbone'),
        ('SimMIM (ViT)', 'backbone'),
        ('iBOT', 'backbone'),
        ('LUT', 'backbone'),
        ('MAE, AMT', 'backbone.patch_embed'),
        ('ConvMAE', 'backbone.conv_stages.0'),
    ],
)
def test_a_part_that_would_not_learn_is_refused(case, name):
    model = CASES[case]()
    runner.turn_on_activation_checkpointing(model, [name])
    with pytest.raises(ValueError, match=rf'^{name} .* no gradient.*backbone\.layers'):
        loss_of(model, batch_of(case))


# AM's masks are those of most cases.
@pytest.mark.parametrize('case', [case for case in CASES if case != 'MAE, AM'])
def test_compiled_steps(case, monkeypatch):
    # it measures, behind an empty cache, how long its own checks take
    monkeypatch.setattr('torch._dynamo.guards.profile_guard_manager', lambda *_: 0.0)
    batches = [batch_of(case, seed) for seed in range(3)]
    expected = train(CASES[case](), batches)
    torch._dynamo.reset()
    model = CASES[case]()
    compiled = torch.compile(model.train_step, backend='eager')
    seen = []

    def step(*args):
        # the first step and the second may compile, later ones must not
        with torch._dynamo.config.patch(error_on_recompile=len(seen) >= 2):
            compiled(*args)
        seen.append(args)

    found = train(model, batches, step)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **CLOSE)


@pytest.mark.parametrize('case', CASES)
def test_accumulated_gradients(case):
    """Two batches, one step: the mean of their gradients, and one move of a teacher."""
    batches = [batch_of(case, seed) for seed in range(2)]
    found = train(CASES[case](), batches, count=2)
    model = CASES[case]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for index, batch in enumerate(batches):
        (loss_of(model, batch, seed=index) / 2).backward()
    optimizer.step()
    for teacher in teachers_of(model):
        teacher.move(0.3)
    move_centers(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, **CLOSE)


# MMPretrain's HOG scatters float32 into what autocast made of it.
@pytest.mark.parametrize('case', [case for case in CASES if case != 'MaskFeat'])
def test_mixed_precision(case, plain):
    model = CASES[case]()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss, grads = learn(model, batch_of(case))
    wanted, expected = plain(case)
    torch.testing.assert_close(loss.float(), wanted, rtol=0.05, atol=0.05)
    assert grads.keys() == expected.keys()
    assert all(value.isfinite().all() for value in grads.values())


@pytest.mark.parametrize('case', CASES)
def test_scaled_gradients(case, plain):
    model = CASES[case]()
    scaler = torch.amp.GradScaler('cpu', init_scale=256.0)
    loss = loss_of(model, batch_of(case))
    scaler.scale(loss).backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    scaler.unscale_(optimizer)
    grads = {
        name: value.grad
        for name, value in model.named_parameters()
        if value.grad is not None
    }
    assert_same((loss.detach(), grads), plain(case), **CLOSE)


@pytest.fixture(scope='module', params=['ddp', 'fsdp'])
def two_ranks(request, tmp_path_factory):
    """Each case's loss and gradients on both ranks of two gloo processes."""
    folder = tmp_path_factory.mktemp(request.param)
    out = folder / 'rank'
    run_ranks(folder, rank, str(out), request.param)
    return request.param, [torch.load(f'{out}.{number}') for number in range(2)]


def test_two_processes(two_ranks):
    kind, results = two_ranks
    for case, build in CASES.items():
        if case not in results[0]:
            assert kind == 'fsdp'
            assert teachers_of(build())
            continue
        alone = [learn(build(), batch_of(case, seed=number)) for number in range(2)]
        for number in range(2):
            assert not isinstance(results[number][case], str), results[number][case]
            loss, grads = results[number][case]
            assert abs(loss - alone[number][0]) < 1e-5, case
            for name, value in alone[0][1].items():
                mean = (value + alone[1][1][name]) / 2
                found = grads[name].view_as(mean)
                torch.testing.assert_close(
                    found, mean, **CLOSE, msg=lambda t, n=f'{case} {name}': n + t
                )
