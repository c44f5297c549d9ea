"""Parts that do not fit are refused when the model is built, with both numbers."""

import pytest
from mmengine.registry import MODELS

AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
CACHED = dict(type='mmattmask.CachedAttention')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(img_size=(48, 52)),
            r'patch size \(8\) does not divide the image size \(48 x 52\)',
        ),
        (
            dict(img_size=(16, 40), backbone__mask_ratio=0.5),
            r'MAEPretrainHead takes square images only, the grid is 2 x 5.*'
            r'mmattmask\.GuidedMAEHead',
        ),
        (
            dict(neck__num_patches=49),
            r'6 x 6 has 36 patches, num_patches is 49',
        ),
        (dict(neck__grid=(4, 9)), r'grid is \(4, 9\), the backbone needs \(6, 6\)'),
        (dict(neck__embed_dim=32), r'embed_dim is 32, the backbone needs 48'),
        (dict(neck__patch_size=16), r'output is 768, the backbone needs 192'),
        (dict(head__patch_size=16), r'head\.patch_size is 16, the backbone needs 8'),
        (dict(head__in_channels=1), r'output is 192, the backbone needs 64'),
        (
            dict(img_size=16, mask_generator={**AMT, 'mask_ratio': 0.1}),
            r'0 masked and 2 thrown of 4 patches',
        ),
        (
            dict(img_size=16, mask_generator=AMT, scorer=CACHED,
                 backbone__mask_ratio=0.9),
            r'0 visible, 4 masked and 0 thrown of 4 patches',
        ),
        (dict(scorer={**CACHED, 'block': 2}), 'block 2 does not exist in 2 blocks'),
    ],
)  # fmt: skip
def test_wrong_parts_are_refused(guided_mae_config, changes, message):
    if 'MAEPretrainHead' in message:  # a stock head in a config would be exchanged
        changes = {
            **changes,
            'head': MODELS.build({**guided_mae_config()['head'], 'patch_size': 8}),
        }
    with pytest.raises(ValueError, match=message):
        MODELS.build(guided_mae_config(**changes))


def test_a_backbone_that_takes_no_partition_is_refused(guided_mae_config):
    config = guided_mae_config()
    config['backbone']['type'] = 'mmpretrain.MAEViT'
    config['backbone'] = MODELS.build(config['backbone'])
    message = r"GuidedMAE needs a backbone .*'mmattmask\.GuidedMAEViT', got MAEViT"
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


def test_a_decoder_that_takes_no_partition_is_refused(guided_mae_config):
    config = guided_mae_config()
    config['neck'].update(type='mmpretrain.MAEPretrainDecoder')
    config['neck'].update(num_patches=36, patch_size=8, embed_dim=48)
    config['neck'] = MODELS.build(config['neck'])
    message = r"neck type='mmattmask\.GuidedMAEDecoder', got MAEPretrainDecoder"
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


def test_a_backbone_without_cls_token_is_refused_when_attention_guides(
    guided_mae_config,
):
    backbone = MODELS.build(guided_mae_config()['backbone'])
    del backbone.cls_token
    config = guided_mae_config(mask_generator=AMT, scorer=CACHED)
    config['backbone'] = backbone
    with pytest.raises(ValueError, match=r'GuidedMAEViT has no CLS token'):
        MODELS.build(config)


@pytest.mark.parametrize('part', ['mask_generator', 'scorer'])
def test_an_unknown_option_is_named(guided_mae_config, part):
    base = {'mask_generator': AMT, 'scorer': CACHED}[part]
    config = guided_mae_config(**{part: {**base, 'throw_rate': 0.4}})
    with pytest.raises(TypeError, match='throw_rate'):
        MODELS.build(config)
