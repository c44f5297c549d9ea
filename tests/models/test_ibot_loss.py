"""The centres: how they move, in one process and in two."""

import multiprocessing

import pytest
import torch
from torch import distributed

from mmattmask.models import IBOTLoss

from .ibot_model import GivenMasks, build


def test_centres_are_running_means():
    loss = IBOTLoss(2, 3, center_momentum=0.8, patch_center_momentum=0.95)
    loss.collect(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0, 4.0]))
    loss.move_centers()
    torch.testing.assert_close(loss.cls_center, torch.tensor([0.2, -0.2]))
    torch.testing.assert_close(loss.patch_center, torch.tensor([0.0, 0.1, 0.2]))
    loss.collect(torch.tensor([1.0, -1.0]), None)
    loss.move_centers()
    torch.testing.assert_close(loss.cls_center, torch.tensor([0.36, -0.36]))
    torch.testing.assert_close(loss.patch_center, torch.tensor([0.0, 0.1, 0.2]))
    assert set(loss.state_dict()) == {'cls_center', 'patch_center'}


def test_a_centre_moves_once_for_the_iterations_of_a_step():
    """Two halves of a batch are the batch."""
    loss = IBOTLoss(2, 3, center_momentum=0.8, patch_center_momentum=0.95)
    loss.collect(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0, 4.0]))
    loss.collect(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 2.0, 2.0]))
    assert not loss.cls_center.any()
    loss.move_centers()
    torch.testing.assert_close(loss.cls_center, torch.tensor([0.4, 0.0]))
    torch.testing.assert_close(loss.patch_center, torch.tensor([0.05, 0.1, 0.15]))
    loss.move_centers()  # nothing new
    torch.testing.assert_close(loss.cls_center, torch.tensor([0.4, 0.0]))


def test_a_centre_stays_where_the_step_was_skipped():
    loss = IBOTLoss(2, 2, center_momentum=0.0)
    loss.collect(torch.tensor([1.0, -1.0]), None)
    loss.move_centers(torch.tensor(False))
    for mean, skipped in ((5.0, True), (float('nan'), False)):
        loss.collect(torch.tensor([mean, 0.0]), None)
        loss.move_centers(torch.tensor(skipped))
        assert loss.cls_center.tolist() == [1.0, -1.0]


def test_a_centre_moves_after_its_loss():
    """The teacher favours prototype 0; once centred, it says nothing."""
    loss = IBOTLoss(2, 2, center_momentum=0.0)
    teacher, student = torch.tensor([[[1.0, 0.0]]]), torch.zeros(2, 1, 2)
    student[:, :, 0] = 0.1
    first = loss.cls(student, teacher, 0.1)
    loss.collect(teacher.mean((0, 1)), None)
    loss.move_centers()
    second = loss.cls(student, teacher, 0.1)
    log_probs = torch.tensor([1.0, 0.0]).log_softmax(0)
    assert first.item() == pytest.approx(-log_probs[0].item(), rel=1e-3)
    assert second.item() == pytest.approx(-log_probs.mean().item())


def two_steps(rank=0, world_size=1):
    """Losses and centres of two steps on this process's share of the batch."""
    generator = torch.Generator().manual_seed(7)
    model = build(GivenMasks(lambda score: (score > 1 / 37).float())).double()
    values = {}
    for number in range(2):
        crops = [
            torch.randn(4, 3, side, side, generator=generator, dtype=torch.float64)
            for side in (48, 48, 24)
        ]
        crops = [crop.chunk(world_size)[rank] for crop in crops]
        losses = model(crops, None, mode='loss')
        model.distillation.move_centers()
        for name, value in (*losses.items(), *model.distillation.named_buffers()):
            values[f'{name} {number}'] = value.detach().clone()
    return values


def work(rank, folder):
    """Take two steps as one of two processes and save what came out."""
    rendezvous = f'file://{folder}/rendezvous'
    distributed.init_process_group('gloo', rendezvous, rank=rank, world_size=2)
    torch.save(two_steps(rank, 2), folder / f'{rank}.pth')
    distributed.destroy_process_group()


def test_two_processes_have_the_centres_of_one(tmp_path):
    context = multiprocessing.get_context('fork')  # everything is imported already
    ranks = [context.Process(target=work, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=120)
        assert process.exitcode == 0
    one = two_steps()
    both = [torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1)]
    assert len(one) == 8
    for name, value in one.items():
        first, second = (values[name] for values in both)
        if 'center' in name:
            assert value.any()
            assert torch.equal(first, second)
            torch.testing.assert_close(first, value)
        else:
            assert not torch.equal(first, second)
            torch.testing.assert_close((first + second) / 2, value)
