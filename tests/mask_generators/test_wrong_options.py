"""Options that no mask can be made of are refused where they are given."""

import pytest
from mmengine.registry import TASK_UTILS

WRONG = {
    'Random': [
        (dict(mask_ratio=0.75, throw_ratio=0.3), r'0\.75 \+ 0\.3'),
        (dict(mask_ratio=1.2), r'1\.2'),
        (dict(mask_ratio=-0.5), r'-0\.5'),
        (dict(rounding='nearest'), r"'down', 'up'.*got 'nearest'"),
    ],
    'AMT': [
        (dict(throw='top'), r"throw must be one of .*'middle', 'low'.*got 'top'"),
        (dict(ranking='rank'), r"ranking must be one of .*'sampled'.*got 'rank'"),
        (dict(first='thrown'), r"first must be one of .*'visible'.*got 'thrown'"),
        (dict(rounding='nearest'), r"'down', 'up'.*got 'nearest'"),
        (dict(mask_ratio=0.7), r'0\.7 \+ 0\.4'),
        (dict(throw_ratio=-0.1), r'-0\.1'),
    ],
    'Att': [
        (dict(mode='top'), r"mode must be one of .*'hint'.*got 'top'"),
        (dict(mask_ratio=1.2), r'mask_ratio .*got 1\.2'),
        (dict(mask_ratio=(0.5, 0.1)), r'mask_ratio .*got \(0\.5, 0\.1\)'),
        (dict(show_ratio=-0.5), r'show_ratio .*got -0\.5'),
        (dict(mask_prob=1.5), r'got \(1\.5, 1\.0, 0\.1\)'),
        (dict(show_max=-0.1), r'got \(1\.0, 1\.0, -0\.1\)'),
        (dict(patch_prob=-0.5), r'got \(1\.0, -0\.5, 0\.1\)'),
    ],
    'SoftToHard': [
        (dict(mask_ratio=1.2), r'1\.2'),
        (dict(soft=(0.5, -0.1)), r'soft.*-0\.1'),
        (dict(hard=(0.5,)), 'hard'),
    ],
    'Block': [
        (dict(mask_ratio=1.2), r'1\.2'),
        (dict(min_patches=-4), 'got -4 and'),
        (dict(aspect=(3, 0.3)), r'got 16 and \(3, 0\.3\)'),
    ],
    'IBOT': [
        (dict(mask_ratios=()), r'one or more ranges .*got \(\)'),
        (dict(mask_ratios=(0.1, 0.5)), r'one or more ranges .*got \(0\.1, 0\.5\)'),
        (dict(mask_ratios=0.3), r'one or more ranges .*got 0\.3'),
        (dict(mask_ratios=[(0.5, 0.1)]), r'got \(0\.5, 0\.1\)'),
        (dict(shape='rand'), r"shape must be one of .*'random'.*got 'rand'"),
        (dict(aspect=(-1, 1)), r'\(-1, 1\)'),
    ],
    'ColorNoise': [
        (dict(mask_ratio=1.2), r'1\.2'),
        (dict(color='pink'), r"'red', 'blue', 'green', 'purple'.*got 'pink'"),
        (dict(sigma=(0, 2.0)), r'0 < narrow < wide, got \(0, 2\.0\)'),
        (dict(sigma=0), 'got 0'),
        (dict(sigma=(2.0, 0.5)), r'got \(2\.0, 0\.5\)'),
    ],
    'Part': [
        (dict(mask_ratio=1.2), r'1\.2'),
        (dict(gamma=0), 'above 0, got 0'),
    ],
    'Uniform': [
        (dict(mask_ratio=0.6), r'mask_ratio is 0\.75, it cannot be 0\.6'),
        (dict(show='best'), r"'random', 'most', 'least'.*got 'best'"),
        (dict(show='most', balanced=True), "not for show='most'"),
    ],
}


@pytest.mark.parametrize('policy', WRONG)
def test_wrong_options_are_refused(policy):
    name = f'mmattmask.{policy}MaskGenerator'
    for options, message in WRONG[policy]:
        with pytest.raises(ValueError, match=message):
            TASK_UTILS.build(dict(type=name, **options))
