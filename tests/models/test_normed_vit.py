"""Every output is normalised once, and joined to one vector per image."""

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer

from mmattmask.models import JoinTokens, NormedViT

ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
SHAPE = dict(arch=ARCH, img_size=(24, 40), patch_size=8)


@pytest.fixture
def pair():
    """A NormedViT and a stock ViT that gives raw tokens, with the same weights."""

    def build(**options):
        torch.manual_seed(0)
        stock = VisionTransformer(
            **SHAPE, out_indices=[0, 1, 2, 3], out_type='raw', final_norm=True
        )
        for parameter in stock.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        ours = MODELS.build(dict(type='mmattmask.NormedViT', **SHAPE, **options))
        ours.load_state_dict(stock.state_dict())
        ours.eval()  # returns None, as all backbones of MMPretrain
        stock.eval()
        return ours, stock

    return build


def test_every_output_is_normalised_once(pair):
    ours, stock = pair(out_indices=[1, 3], out_type='raw')
    images = torch.randn(2, 3, 24, 40)
    early, last = ours(images)
    raw = stock(images)
    torch.testing.assert_close(early, stock.ln1(raw[1]))
    torch.testing.assert_close(last, raw[3])  # the stock ViT normalises this one


def test_maps_have_the_grid_and_all_freezes(pair):
    ours, stock = pair(out_indices=[2], out_type='featmap', frozen_stages=4)
    images = torch.randn(1, 3, 24, 40)
    (tokens,) = ours(images)
    assert tokens.shape == (1, 24, 3, 5)
    expected = stock.ln1(stock(images)[2])[0, 1:]
    torch.testing.assert_close(tokens[0, :, 1, 2], expected[1 * 5 + 2])
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_joins_cls_tokens_of_blocks_or_cls_and_mean_patch(pair):
    images = torch.randn(2, 3, 24, 40)
    ours, stock = pair(out_indices=[0, 1, 2, 3], out_type='cls_token')
    raw = stock(images)
    (vector,) = JoinTokens()(ours(images))
    blocks = [stock.ln1(tokens)[:, 0] for tokens in raw[:3]] + [raw[3][:, 0]]
    torch.testing.assert_close(vector, torch.cat(blocks, dim=1))

    ours, stock = pair(out_indices=[3], out_type='raw')
    (vector,) = JoinTokens()(ours(images))
    torch.testing.assert_close(vector[:, :24], raw[3][:, 0])
    torch.testing.assert_close(vector[:, 24:], raw[3][:, 1:].mean(dim=1))


def test_refuses_to_have_no_norm():
    with pytest.raises(ValueError, match='final_norm=False'):
        NormedViT(**SHAPE, final_norm=False)
