"""The sweep of linear classifiers, and a probe that is killed and goes on."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmattmask.evaluation import linear, linear_probe
from mmattmask.evaluation.eval_data import labelled_images, random_view
from mmattmask.evaluation.linear import SWEEP, LinearSweep, cosine
from mmattmask.evaluation.linear_probe import (
    LinearProbe,
    ProbeHistory,
    ProbeSettings,
    epoch_shares,
    fixed_features,
    fresh_features,
)

from ..engine.toy_run import write_images

DIM, CLASSES = 6, 4


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def data(count=40, classes=CLASSES):
    """Features of classes that overlap, and labels."""
    labels = torch.randint(classes, (count,), generator=rng(1))
    centres = torch.randn(classes, DIM, generator=rng(2))
    return centres[labels] + torch.randn(count, DIM, generator=rng(3)), labels


def test_the_sweep_of_ibot(tmp_path):
    assert len(SWEEP) == len(set(SWEEP)) == 45
    assert list(SWEEP) == sorted(SWEEP)
    assert (SWEEP[0], SWEEP[-1]) == (1e-4, 9.0)
    scaled = LinearProbe(ProbeSettings(SWEEP, batch_size=2048), 2, 2, tmp_path / 'x')
    torch.testing.assert_close(scaled.sweep.lrs, 8 * torch.tensor(SWEEP))


def test_the_schedule_is_torchs_cosine():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)
    for epoch in range(7):
        assert cosine(epoch, 7) == pytest.approx(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()


def test_equals_classifiers_trained_one_by_one():
    lrs = (0.003, 0.1, 2.0)
    features, labels = data()
    sweep = LinearSweep(lrs, DIM, CLASSES, generator=rng())
    first = sweep.weight[:CLASSES].clone()
    losses = []
    for step in range(12):
        part = slice(step % 4 * 10, step % 4 * 10 + 10)
        losses.append(sweep.step(features[part], labels[part], cosine(step, 12)))
    for index, lr in enumerate(lrs):
        single = nn.Linear(DIM, CLASSES)
        single.weight.data, single.bias.data = first.clone(), torch.zeros(CLASSES)
        optimizer = torch.optim.SGD(single.parameters(), lr, momentum=0.9)
        for step in range(12):
            optimizer.param_groups[0]['lr'] = lr * cosine(step, 12)
            part = slice(step % 4 * 10, step % 4 * 10 + 10)
            loss = F.cross_entropy(single(features[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch.testing.assert_close(losses[step][index], loss.detach())
        torch.testing.assert_close(
            sweep(features)[:, index], single(features).detach(), rtol=1e-4, atol=1e-5
        )


def test_first_weights_are_small():
    sweep = LinearSweep((0.1,), 300, 200, generator=rng())
    assert sweep.weight.std() == pytest.approx(0.01, rel=0.02)
    assert not sweep.bias.any()


def test_one_alone_is_one_of_many():
    features, labels = data()
    many = LinearSweep((0.01, 0.3, 1.0), DIM, CLASSES, generator=rng())
    alone = LinearSweep((0.3,), DIM, CLASSES, generator=rng())
    for _ in range(5):
        many.step(features, labels)
        alone.step(features, labels)
    torch.testing.assert_close(many(features)[:, 1:2], alone(features))


def test_one_that_diverges_leaves_the_others_alone():
    features, labels = data()
    wild = LinearSweep((0.1, 1e38), DIM, CLASSES, generator=rng())
    tame = LinearSweep((0.1,), DIM, CLASSES, generator=rng())
    for _ in range(4):
        loss = wild.step(1e3 * features, labels)
        tame.step(1e3 * features, labels)
    assert not wild.weight[CLASSES:].isfinite().all()
    assert loss[0].isfinite()
    torch.testing.assert_close(wild(features)[:, :1], tame(features))
    accuracy = wild.accuracy(features, labels)
    assert accuracy[1].tolist() == [0, 0]
    assert accuracy[0, 0] > 0


def test_shares_of_a_batch_add_up_to_its_step(monkeypatch):
    features, labels = data(10)
    whole = LinearSweep((0.1, 1.0), DIM, CLASSES, generator=rng())
    loss = whole.step(features, labels)
    halves = [LinearSweep((0.1, 1.0), DIM, CLASSES, generator=rng()) for _ in range(2)]
    sums = {}

    def gather_gradients(rank):
        def all_reduce(gradient):
            sums.setdefault(gradient.shape, []).append((rank, gradient))

        return all_reduce

    monkeypatch.setattr(linear, 'get_world_size', lambda: 2)
    losses = []
    for rank, half in enumerate(halves):
        monkeypatch.setattr(linear, 'all_reduce', gather_gradients(rank))
        losses.append(half.step(features[rank::2], labels[rank::2], batch_size=10))
    torch.testing.assert_close(sum(losses), loss)
    total = sum(gradient for _, gradient in sums[whole.weight.shape])
    torch.testing.assert_close(total, whole.weight_velocity)


@pytest.mark.parametrize('chunk', [1, 7, 100])
def test_accuracy_counts_hits(monkeypatch, chunk):
    monkeypatch.setattr(linear, 'CHUNK_ROWS', chunk)
    features, labels = data(30, classes=9)
    sweep = LinearSweep((0.1, 1.0), DIM, 9, generator=rng())
    sweep.weight.normal_(generator=rng(5))
    logits = sweep(features)
    expected = []
    for index in range(2):
        ranked = logits[:, index].argsort(dim=1, descending=True)
        hits = ranked == labels[:, None]
        expected.append([100 * hits[:, :k].any(1).double().mean() for k in (1, 5)])
    torch.testing.assert_close(sweep.accuracy(features, labels), torch.tensor(expected))


def test_bad_input():
    with pytest.raises(ValueError, match=r'got \(0.1, -1\)'):
        LinearSweep((0.1, -1), DIM, CLASSES)
    with pytest.raises(ValueError, match=r'got \(\)'):
        LinearSweep((), DIM, CLASSES)
    with pytest.raises(ValueError, match=r'epochs \(0\) and batch size \(8\)'):
        ProbeSettings((0.1,), epochs=0, batch_size=8)


# The probe


SETTINGS = ProbeSettings((0.01, 0.3, 3.0), epochs=5, batch_size=16, seed=3)


def run(state, stop_at=None, settings=SETTINGS):
    """Train to the end, or until an epoch begins its second batch."""
    features, labels = data()
    plain = fixed_features(features, labels, 'cpu')

    def batches(epoch, shares):
        for number, batch in enumerate(plain(epoch, shares)):
            if epoch == stop_at and number == 1:
                raise KeyboardInterrupt
            yield batch

    trained = LinearProbe(settings, DIM, CLASSES, state)
    return trained, trained.run(len(labels), batches, features[:20], labels[:20])


def test_killed_and_restarted_equals_uninterrupted(tmp_path, monkeypatch):
    """In the middle of an epoch, and of writing the state."""
    whole, expected = run(tmp_path / 'whole.pth')

    def killed(content, path):
        path.write_bytes(b'half')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'killed.pth', stop_at=3)
    with monkeypatch.context() as patch:
        patch.setattr(linear_probe.torch, 'save', killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / 'killed.pth')
    resumed, history = run(tmp_path / 'killed.pth')
    for name, value in whole.sweep.state_dict().items():
        assert torch.equal(value, resumed.sweep.state_dict()[name]), name
    assert torch.equal(history.accuracy, expected.accuracy)
    assert torch.equal(history.loss, expected.loss)
    assert history.accuracy.shape == (5, 3, 2)


def test_loader_processes_do_not_change_the_views(tmp_path):
    root = write_images(tmp_path, count=6)
    config = dict(type='mmpretrain.CustomDataset', data_root=root)
    images = labelled_images(config, random_view((8, 8)), (8, 8))

    class Pixels(nn.Module):
        kinds = ('pixels',)

        def forward(self, pixels, rgb):
            return dict(pixels=pixels.flatten(1))

    shares = epoch_shares(6, ProbeSettings((0.1,), batch_size=4), epoch=0)
    drawn = []
    for num_workers in (0, 2):
        batches = fresh_features(Pixels(), images, 0, num_workers)
        drawn.append([batch for epoch in range(2) for batch in batches(epoch, shares)])
    assert len(drawn[0]) == len(drawn[1]) == 4
    for (features, labels), (others, other_labels) in zip(*drawn, strict=True):
        assert torch.equal(features, others)
        assert torch.equal(labels, other_labels)
    assert torch.equal(drawn[0][0][1], images.labels[shares[0]])
    assert not torch.equal(drawn[0][0][0], drawn[0][2][0])


def test_the_loss_is_the_mean_over_the_epoch(tmp_path):
    tiny = ProbeSettings((1e-9,), epochs=1, batch_size=16)
    _, history = run(tmp_path / 'state.pth', settings=tiny)
    features, labels = data()
    sweep = LinearSweep((1.0,), DIM, CLASSES, generator=rng())
    expected = F.cross_entropy(sweep(features)[:, 0], labels)
    torch.testing.assert_close(history.loss[0, 0], expected)


def test_training_learns(tmp_path):
    _, history = run(tmp_path / 'state.pth')
    assert history.loss[-1, 1] < 0.8 * history.loss[0, 1]
    assert history.accuracy[-1, 1, 0] > 60


def test_best_is_the_first_of_the_largest():
    top1 = torch.tensor([[10.0, 30.0], [40.0, 20.0], [40.0, 40.0]])
    history = ProbeHistory(torch.stack([top1, top1 + 5], dim=2), torch.zeros(3, 2))
    assert history.best() == (1, 0)


@pytest.mark.parametrize(('images', 'world_size'), [(40, 1), (41, 2), (37, 3), (35, 4)])
def test_batches_are_dealt_out_among_the_ranks(monkeypatch, images, world_size):
    whole = epoch_shares(images, SETTINGS, epoch=2)
    assert torch.equal(torch.cat(whole).sort().values, torch.arange(images))
    assert not torch.equal(
        torch.cat(whole), torch.cat(epoch_shares(images, SETTINGS, epoch=3))
    )
    monkeypatch.setattr(linear_probe, 'get_world_size', lambda: world_size)
    ranks = []
    for rank in range(world_size):
        monkeypatch.setattr(linear_probe, 'get_rank', lambda rank=rank: rank)
        ranks.append(epoch_shares(images, SETTINGS, epoch=2))
    kept = [batch for batch in whole if len(batch) >= world_size]
    assert {len(shares) for shares in ranks} == {len(kept)}
    for number, batch in enumerate(kept):
        dealt = torch.cat([shares[number] for shares in ranks])
        assert torch.equal(dealt.sort().values, batch.sort().values)


def test_too_few_images(tmp_path, monkeypatch):
    monkeypatch.setattr(linear_probe, 'get_world_size', lambda: 64)
    with pytest.raises(ValueError, match='40 training images are too few for 64'):
        run(tmp_path / 'state.pth')
