"""iBOT models small enough for one core, and masks that a test decides on."""

import torch
from mmengine.registry import MODELS

from mmattmask.mask_generators import BaseMaskGenerator
from tests.models.official_ibot import from_official_ibot


class GivenMasks(BaseMaskGenerator):
    """Masks made by ``choose`` from the score, (B, L); remembers the last score."""

    variable_counts = True

    def __init__(self, choose, max_masked=None):
        self.choose = choose
        if max_masked is not None:
            self.max_masked = lambda num_patches: max_masked

    def budget(self, num_patches):
        raise ValueError('counts differ')

    def shuffle(self, *args):
        raise ValueError('counts differ')

    def mask(self, score, rng=None, progress=0.0, grid=None):
        self.score, self.grid = score, grid
        try:  # the trial has a batch of its own
            mask = self.choose(score).flatten(1).float()
        except (IndexError, TypeError):
            return torch.zeros_like(score)
        return mask if mask.shape == score.shape else torch.zeros_like(score)


def given(mask):
    """Return a generator of one mask, (B, L) or (B, h, w), and its tightest bound."""
    counts = mask.flatten(1).sum(1)
    return GivenMasks(lambda score: mask, max_masked=int(counts.max()))


def ibot_config(
    img_size=48, patch_size=8, dims=24, depth=2, heads=3, hidden=32, bottleneck=16
):
    """Config of an iBOT of small blocks."""
    return dict(
        type='mmattmask.IBOT',
        backbone=dict(
            type='mmattmask.IBOTViT',
            arch=dict(
                embed_dims=dims,
                num_layers=depth,
                num_heads=heads,
                feedforward_channels=4 * dims,
            ),
            img_size=img_size,
            patch_size=patch_size,
        ),
        head=dict(
            type='mmattmask.IBOTHead',
            out_channels=20,
            hid_channels=hidden,
            bottleneck_channels=bottleneck,
            norm_last_layer=False,
        ),
        data_preprocessor=dict(type='mmpretrain.SelfSupDataPreprocessor'),
    )


def build(mask_generator=None, seed=0, head=None, backbone=None, sizes=None, **changes):
    """An initialised model; ``head`` and ``backbone`` change these parts."""
    config = ibot_config(**(sizes or {}))
    config['head'].update(head or {})
    config['backbone'].update(backbone or {})
    torch.manual_seed(seed)
    model = MODELS.build({**config, 'mask_generator': mask_generator, **changes})
    model.init_weights()
    return model.train()


def official_model(case, mask_generator, dtype, teacher='weights_teacher', **changes):
    """The model of a golden case, with its weights and centres."""
    sizes = case.config
    own = sizes['patch_out_dim'] if not sizes.get('shared_head', True) else None
    names = ('img_size', 'patch_size', 'hidden', 'bottleneck')
    model = build(
        mask_generator,
        sizes={name: sizes[name] for name in names}
        | dict(dims=sizes['embed_dim'], depth=sizes['depth'], heads=sizes['num_heads']),
        head=dict(out_channels=sizes['out_dim'], patch_out_channels=own),
        **changes,
    )
    content = {
        'student': weights(case, 'weights_student'),
        'teacher': weights(case, teacher),
    }
    content['teacher'].pop('backbone.masked_embed', None)
    if 'in/center' in case:
        content['ibot_loss'] = dict(
            center=case['in/center'], center2=case['in/center2']
        )
    else:
        content['ibot_loss'] = dict(
            center=torch.zeros(sizes['out_dim']),
            center2=torch.zeros(own or sizes['out_dim']),
        )
    model.load_state_dict(from_official_ibot(content), strict=True)
    return model.to(dtype).train()


def weights(case, prefix):
    """The weights of a golden case under their official names."""
    return {name: case[key] for name, key in case.under(f'{prefix}/').items()}


def loss_options(temps):
    """Weights and momenta of the loss, as far as a case has them."""
    names = dict(
        lambda1='cls_weight',
        lambda2='patch_weight',
        student_temp='student_temp',
        center_momentum='center_momentum',
        center_momentum2='patch_center_momentum',
    )
    return {ours: temps[name] for name, ours in names.items() if name in temps}


def crops(case, dtype, folder='in'):
    """All crops of a golden case, global ones first."""
    both = (*case[f'{folder}/global'], *case[f'{folder}/local'])
    return [view.to(dtype) for view in both]
