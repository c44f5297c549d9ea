"""A scorer that learns: what reaches it, and where it is refused."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from torch import nn

from mmattmask.masking import PatchBudget
from mmattmask.scorers import CachedMaps, Scorer

AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)


@MODELS.register_module(force=True)
class Sampler(Scorer):
    """One linear layer on the host's patch embedding, trained on its errors."""

    def bind(self, host):
        object.__setattr__(self, 'embed', host.backbone.patch_embed)
        self.weigh = nn.Linear(host.backbone.embed_dims, 1)
        self.seen = []

    def forward(self, inputs, data_samples, grid, cell_size):
        return self.weigh(self.embed(inputs)[0]).squeeze(2).softmax(dim=1)

    def loss(self, score, partition, error, progress, tokens):
        self.seen.append((score, partition, error, progress, tokens))
        surprise = (score.log() * error * partition.mask).sum() / partition.mask.sum()
        return dict(loss_sampling=-1e-2 * surprise)


@pytest.fixture
def model(guided_mae):
    return guided_mae(scorer=dict(type='Sampler'), mask_generator=AMT)


def test_it_gets_scores_with_graph_and_errors_without(model, monkeypatch):
    # outside of a run, whatever runs there were in this process
    hub = MessageHub('none')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    images = torch.randn(3, 3, 48, 48)
    losses = model(images, None, mode='loss')
    assert set(losses) == {'loss', 'loss_sampling'}
    ((score, partition, error, progress, tokens),) = model.guidance.scorer.seen
    assert score.requires_grad
    assert not error.requires_grad
    assert partition.budget == PatchBudget(6, 16, 14)
    assert tokens.shape[:2] == (3, 1 + 22)
    assert progress == 0
    # the host's loss is the mean of the errors of the masked patches
    mean = error.gather(1, partition.ids_mask).mean()
    torch.testing.assert_close(losses['loss'].detach(), mean)


def test_one_backward_pass_trains_both(model):
    losses = model(torch.randn(3, 3, 48, 48), None, mode='loss')
    losses['loss'].backward(retain_graph=True)
    assert model.guidance.scorer.weigh.weight.grad is None
    losses['loss_sampling'].backward()
    assert model.guidance.scorer.weigh.weight.grad.any()
    names = dict(model.named_parameters())
    assert 'guidance.scorer.weigh.weight' in names
    assert len({id(value) for value in names.values()}) == len(names)
    assert not any('scorer.embed' in name for name in model.state_dict())


def test_no_gradient_flows_from_scores_of_a_scorer_that_does_not_learn(guided_mae):
    class Still(Sampler):
        loss = Scorer.loss

    model = guided_mae(scorer=Still(), mask_generator=AMT)
    assert not model.guidance.score(torch.randn(1, 3, 48, 48), None).requires_grad
    assert set(model(torch.randn(1, 3, 48, 48), None, mode='loss')) == {'loss'}


def test_cached_maps_cannot_learn(guided_mae):
    class Both(CachedMaps):
        loss = Sampler.loss

        def measure(self, model, images):
            return images.new_zeros(len(images), 36)

    with pytest.raises(ValueError, match=r'Both learns from the error.*cached=True'):
        guided_mae(scorer=Both(), mask_generator=AMT)
