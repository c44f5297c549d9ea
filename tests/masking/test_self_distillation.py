"""Losses of self-distillation, against loops, worked examples and the official iBOT."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking.self_distillation import (
    masked_patch_loss,
    masked_rows,
    patches_at,
    teacher_probs,
    view_pair_loss,
)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def cross_entropy(student, teacher):
    return -(teacher * student.log_softmax(-1)).sum(-1)


@given(st.integers(1, 3), st.integers(0, 4), st.integers(1, 3), st.integers(1, 6))
def test_pairs_equal_a_loop_over_them(num_teacher, num_more, batch_size, width):
    num_student = num_teacher + num_more
    student = draw(num_student, batch_size, width)
    teacher = draw(num_teacher, batch_size, width, seed=1).softmax(-1)
    if num_student < 2:
        with pytest.raises(ValueError, match='1 teacher views and 1 student views'):
            view_pair_loss(student, teacher, 0.2)
        return
    terms = [
        cross_entropy(student[v] / 0.2, teacher[q]).mean()
        for q in range(num_teacher)
        for v in range(num_student)
        if v != q
    ]
    expected = sum(terms) / len(terms)
    torch.testing.assert_close(view_pair_loss(student, teacher, 0.2), expected)


def test_a_student_that_knows_nothing_pays_the_logarithm_of_the_prototypes():
    teacher = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]])
    loss = view_pair_loss(torch.zeros(3, 1, 2), teacher, 0.1)
    assert loss.item() == pytest.approx(math.log(2))


def test_centre_and_temperature_of_the_teacher():
    logits, center = draw(3, 4), draw(4, seed=1)
    expected = ((logits - center) / 0.05).softmax(-1)
    torch.testing.assert_close(teacher_probs(logits, center, 0.05), expected)
    half = teacher_probs(logits.bfloat16(), center.float(), 0.05)
    assert half.dtype == torch.float32
    learned = logits.clone().requires_grad_()
    assert not teacher_probs(learned, center, 0.05).requires_grad


MASK = torch.tensor([[0, 1, 0, 1, 1.0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])


@pytest.mark.parametrize('capacity', [4, 5, 9, 15])
def test_rows_hold_every_masked_patch_once(capacity):
    ids, weights = masked_rows(MASK, capacity)
    assert ids.shape == weights.shape == (capacity,)
    assert ids[:4].tolist() == [1, 3, 4, 10]  # in order
    assert len(set(ids.tolist())) == capacity
    torch.testing.assert_close(weights[:4], torch.tensor([1 / 9, 1 / 9, 1 / 9, 1 / 3]))
    assert not weights[4:].any()


def test_patch_loss_equals_the_formula_and_a_spare_place_changes_nothing():
    student, teacher = draw(3, 5, 4), draw(3, 5, 4, seed=1).softmax(-1)
    mask = MASK.double()
    each = cross_entropy(student / 0.1, teacher)
    expected = ((each * mask).sum(1) / mask.sum(1).clamp_min(1)).mean()
    for capacity in (4, 11):
        ids, weights = masked_rows(mask, capacity)
        loss = masked_patch_loss(
            student.flatten(0, 1)[ids], teacher.flatten(0, 1)[ids], weights, 0.1
        )
        torch.testing.assert_close(loss, expected)


def test_nothing_masked_is_a_loss_of_zero_with_gradients_of_zero():
    student = draw(0, 4).requires_grad_()
    ids, weights = masked_rows(torch.zeros(2, 3), 0)
    loss = masked_patch_loss(student, student.detach(), weights, 0.1)
    loss.backward()
    assert loss == 0
    assert ids.shape == (0,)
    spare = draw(2, 4).requires_grad_()
    _, weights = masked_rows(torch.zeros(2, 3), 2)
    masked_patch_loss(spare, spare.detach().softmax(-1), weights, 0.1).backward()
    assert not spare.grad.any()


def test_patches_are_found_behind_the_cls_tokens():
    tokens = torch.arange(12).reshape(2, 6, 1)  # 0 and 6 are CLS
    taken = patches_at(tokens, torch.tensor([0, 4, 5, 9]))
    assert taken.flatten().tolist() == [1, 5, 7, 11]


def test_losses_equal_official_ibot(golden):
    case = golden('ibot_unshared_head')
    mask = case['in/masks'].flatten(0, 1).flatten(1).float()
    ids, weights = masked_rows(mask, int(mask.sum()))
    student, teacher = (
        case[f'out/{net}_patch'].flatten(0, 1)[ids] for net in ('student', 'teacher')
    )
    batch_size = case.config['batch']
    views = torch.cat([case['out/student_cls'], case['out/student_local_cls']])
    views = views.unflatten(0, (-1, batch_size))
    teacher_views = case['out/teacher_cls'].unflatten(0, (-1, batch_size))
    center, patch_center = case['in/center'][0], case['in/center2'][0, 0]
    for call, (temps, _) in enumerate(case.config['loss_calls']):
        options = case.config['temps'][temps]
        student_temp = options.get('student_temp', 0.1)
        temp, patch_temp = case[f'out/call{call}/temps'].tolist()
        probs = teacher_probs(teacher_views, center, temp)
        loss = view_pair_loss(views, probs, student_temp)
        loss = loss * options.get('lambda1', 1.0)
        case.assert_close(loss, f'out/call{call}/loss_cls')
        probs = teacher_probs(teacher, patch_center, patch_temp)
        loss = masked_patch_loss(student, probs, weights, student_temp)
        loss = loss * options.get('lambda2', 1.0)
        case.assert_close(loss, f'out/call{call}/loss_patch')
