"""Features, loss and gradients of the official SimMIM with a ViT, and of AMT on it."""

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from mmattmask.masking import PatchBudget
from mmattmask.scorers.self_attention import read_cls_attention

from ..golden import each
from .simmim_config import ABSOLUTE, AMT, backbone_config, simmim_config

DTYPES = [torch.float32, torch.float64]
CACHED = dict(type='mmattmask.CachedAttention')
WARM_UP = 40  # epochs of random masks in the released code of AMT


def simmim_variants(case):
    return [name for name in case.config['variants'] if f'out/{name}/loss' in case]


def amt_variants(case):
    epochs = {name: epoch for name, (_, epoch) in case.config['variants'].items()}
    return [name for name, epoch in epochs.items() if epoch > WARM_UP]


def random_variants(case):
    return [name for name in case.config['variants'] if name not in amt_variants(case)]


def attention_variants(case):
    return [name for name in case.config['variants'] if f'out/{name}/cls_row' in case]


def build(case, dtype, prefix='weights', **positions):
    """The official model of a case, with its weights under our names."""
    sizes = case.config
    throw_ratio = sizes.get('throw_ratio', 0.0)
    ratios = dict(mask_ratio=sizes['mask_ratio'], throw_ratio=throw_ratio)
    backbone = backbone_config(
        img_size=sizes['img_size'],
        patch_size=sizes['patch_size'],
        dims=sizes['embed_dim'],
        depth=sizes['depth'],
        heads=sizes['num_heads'],
        drop_path_rate=0.0,
        **positions,
    )
    config = simmim_config(
        backbone,
        cell_size=sizes['mask_patch_size'],
        scorer=CACHED,
        mask_generator={**AMT, **ratios, 'ranking': 'top'},
    )
    model = MODELS.build(config)
    model.load_state_dict(case.state_dict(prefix), strict=True)
    return model.to(dtype)


def check_step(model, case, variant, dtype, samples, frozen=None) -> torch.Tensor:
    """Compare loss and gradients of one step; return the features and masks."""
    seen = {}
    head_loss = model.head.loss

    def remember(pred, target, mask):
        seen.update(mask=mask)
        return head_loss(pred, target, mask)

    model.head.loss = remember
    handle = model.neck.register_forward_pre_hook(
        lambda module, args: seen.update(features=args[0])
    )
    loss = model(case['in/imgs'].to(dtype), samples, mode='loss')['loss']
    loss.backward()
    handle.remove()
    kind = 'f64' if dtype == torch.float64 else 'out'
    case.assert_close(loss, f'{kind}/{variant}/loss')
    names = case.meta['param_map']
    gradients = {name: value.grad for name, value in model.named_parameters()}
    ordered = [names[name] for name in case.arrays[f'out/{variant}/param_names']]
    assert set(ordered) == set(gradients)
    golden = case[f'{kind}/{variant}/grad_norms']
    norms = torch.stack([gradients[name].double().norm() for name in ordered])
    unused = torch.tensor([frozen is not None and frozen in name for name in ordered])
    assert torch.equal(golden == -1, unused)
    case.assert_close(norms.where(~unused, -1.0), f'{kind}/{variant}/grad_norms')
    keys = case.under(f'{kind}/{variant}/grad/')
    assert keys
    for name, key in keys.items():
        case.assert_close(gradients[names[name]], key)
    return seen['features'], seen['mask']


def samples_with(masks) -> list[DataSample]:
    return [DataSample().set_mask(mask) for mask in masks]


@pytest.mark.parametrize('dtype', DTYPES)
@each('simmim', simmim_variants)
def test_masks_of_the_pipeline_equal_official_simmim(golden, variant, dtype):
    case = golden('simmim')
    shared_bias, absolute = case.config['variants'][variant]
    positions = dict(use_abs_pos_emb=absolute, use_shared_rel_pos_bias=shared_bias)
    model = build(case, dtype, f'weights_{variant}', **positions)
    images, samples = case['in/imgs'].to(dtype), samples_with(case['out/mask'])
    features, _ = check_step(model, case, variant, dtype, samples)
    with torch.no_grad():
        (unmasked,) = model(images, mode='tensor')
        (zeros,) = model.backbone(images, torch.zeros_like(case['out/mask']))
    torch.testing.assert_close(zeros, unmasked)
    if dtype == torch.float32:
        case.assert_close(features, f'out/{variant}/z')
        case.assert_close(unmasked, f'out/{variant}/z_unmasked')
        if f'out/{variant}/x_rec' in case:
            case.assert_close(model.neck(features), f'out/{variant}/x_rec')


def guide(model, case) -> None:
    """Give the host a score whose order from the top is the official ranking."""
    ranking = case['draw/ranking']
    falling = torch.arange(ranking.shape[1], 0, -1.0).expand(ranking.shape)
    score = torch.empty_like(falling).scatter(1, ranking, falling)
    model.guidance.score = lambda inputs, data_samples: score


def kept_rows(values, flag):
    """Values (B, C, h, w) of patches not thrown, in raster order: (B, kept, C)."""
    tokens = values.flatten(2).transpose(1, 2)
    kept = flag.flatten(1) != -1
    return torch.stack([row[keep] for row, keep in zip(tokens, kept, strict=True)])


def patches(images, side):
    """Pixels (row, column, channel) of each patch of (B, 3, H, W): (B, P, h, w)."""
    cut = images.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    return cut.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


@pytest.mark.parametrize('dtype', DTYPES)
@each('amt_simmim', amt_variants)
def test_masking_and_throwing_equal_official_amt(golden, variant, dtype):
    """The loss is that of the compacted images up to SimMIM's 1e-5 in the number of
    masked pixels, 1e-9 of it here."""
    case = golden('amt_simmim')
    model = build(case, dtype, **ABSOLUTE)
    guide(model, case)
    frozen = leave_out_gamma_1(model, case, variant)
    samples = [DataSample() for _ in case['in/imgs']]
    features, masks = check_step(model, case, variant, dtype, samples, frozen)

    flag = case['out/flag_amt']
    assert torch.equal(masks, (flag == 1).float())
    thrown = (flag == -1).unsqueeze(1).expand_as(features)
    assert torch.equal(features == 0, thrown)
    if dtype == torch.float32:
        side = case.config['patch_size']
        rows = kept_rows(features, flag)
        if f'out/{variant}/z' in case:
            case.assert_close(
                rows,
                f'out/{variant}/z',
                lambda z: z.flatten(2).transpose(1, 2),
            )
        if f'out/{variant}/pred_patches' in case:
            pred = kept_rows(patches(model.neck(features), side), flag)
            case.assert_close(pred, f'out/{variant}/pred_patches')


@pytest.mark.parametrize('dtype', DTYPES)
@each('amt_simmim', random_variants)
def test_random_epochs_equal_official_amt(golden, variant, dtype):
    case = golden('amt_simmim')
    model = build(case, dtype, **ABSOLUTE)
    frozen = leave_out_gamma_1(model, case, variant)
    samples = samples_with(case['out/flag_random'])
    features, _ = check_step(model, case, variant, dtype, samples, frozen)
    if dtype == torch.float32 and f'out/{variant}/z' in case:
        case.assert_close(features, f'out/{variant}/z')


def leave_out_gamma_1(model, case, variant) -> str | None:
    """Differs from AMT: the released block leaves out gamma_1, as if it were 1.

    Return the name of what gets no gradient then; a variant may have it repaired (G).
    """
    code, _ = case.config['variants'][variant]
    if 'G' in code:
        return None
    with torch.no_grad():
        for layer in model.backbone.layers:
            layer.gamma_1.fill_(1)
    return 'gamma_1'


@each('amt_simmim', attention_variants)
def test_attention_of_whole_images_equals_official_amt(golden, variant):
    case = golden('amt_simmim')
    model = build(case, torch.float32, **ABSOLUTE)
    leave_out_gamma_1(model, case, variant)
    with torch.no_grad():
        attention = read_cls_attention(model.backbone, case['in/imgs'])
    case.assert_close(attention, f'out/{variant}/cls_row', lambda row: row[..., 1:])


def test_counts_equal_the_released_code(golden):
    case = golden('amt_simmim')
    table = zip(case.config['count_table'], case['out/counts'].tolist(), strict=True)
    for (size, cell, _, mask, throw), (masked, thrown, visible) in table:
        budget = PatchBudget.from_ratios((size // cell) ** 2, mask, throw, 'up')
        assert budget == PatchBudget(visible, masked, thrown)


def test_warm_up_counts_equal_simmims(golden):
    case = golden('simmim')
    table = zip(case.config['count_table'], case['out/mask_count'], strict=True)
    for (size, cell, patch, mask_ratio), masked in table:
        model = MODELS.build(
            simmim_config(
                backbone_config(img_size=size, patch_size=patch, **ABSOLUTE),
                cell_size=cell,
                scorer=CACHED,
                warmup_mask_ratio=mask_ratio,
            )
        )
        budget = model.guidance.warmup_mask_generator.budget((size // cell) ** 2)
        assert budget.num_masked == masked
