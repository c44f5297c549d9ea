"""Mixed precision without a GPU: small configs, and a batch that is not finite."""

from functools import partial
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmattmask.launching import AMP_WRAPPERS
from tests.config_building import CONFIGS, ROOT, label_maps, load, write_images

DEBUG_CONFIGS = [
    name
    for name in CONFIGS
    # autocast of the CPU leaves MaskFeat's norms in bfloat16, that of a GPU does not
    if name.endswith('_debug.py') and 'maskfeat' not in name
]
# which move with each forward pass: the EMA, and counts of BEiT v2's tokenizer
OTHERS = ('teacher', 'target_generator')
AMP = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
BAD = 3


class Spoil(Hook):
    """Make the losses of one iteration NaN, and look at everything before and after."""

    def __init__(self):
        self.losses = []
        self.states = []
        self.waiting = set()  # parameters without a gradient in the first iteration

    def before_train(self, runner):
        for name, parameter in runner.model.named_parameters():
            if parameter.requires_grad:
                self.waiting.add(name)
                parameter.register_post_accumulate_grad_hook(
                    lambda _, name=name: self.waiting.discard(name)
                )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == BAD:
            self.scale = runner.optim_wrapper.loss_scaler.get_scale()
            self.states.append(state(runner.model))
            runner.model.register_forward_hook(spoil)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(float(outputs['loss']))
        if runner.iter == 0:
            unused = runner.cfg.get('find_unused_parameters', False)
            assert unused == bool(self.waiting), self.waiting
        if runner.iter == BAD:
            assert runner.optim_wrapper.loss_scaler.get_scale() < self.scale
            self.states.append(state(runner.model))


def spoil(model, inputs, losses):
    return {name: loss * torch.nan for name, loss in losses.items()}


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize('name', DEBUG_CONFIGS)
def test_small_configs_train_in_bfloat16_and_skip_a_broken_batch(name, tmp_path):
    images = tmp_path / 'images'
    write_images(images / 'nested', 16)
    cfg = Config(load(name).to_dict(), filename=str(ROOT / name))
    options = [f'train_dataloader.dataset.data_root={images}']
    options += label_maps(name, images, tmp_path / 'labels')
    cfg.merge_from_dict(dict(option.split('=', 1) for option in options))
    cfg.work_dir = str(tmp_path / 'work_dir')
    cfg.optim_wrapper.type = AMP_WRAPPERS[cfg.optim_wrapper.type]
    cfg.optim_wrapper.dtype = 'bfloat16'
    cfg.default_hooks.checkpoint = None
    watch = Spoil()
    with (
        patch(f'{AMP}.is_cuda_available', lambda: True),
        patch(f'{AMP}.GradScaler', partial(torch.amp.GradScaler, device='cpu')),
    ):
        runner = Runner.from_cfg(cfg)
        runner.register_hook(watch, 'LOWEST')
        runner.train()
    finite = torch.isfinite(torch.tensor(watch.losses))
    assert finite.tolist() == [number != BAD for number in range(len(finite))]
    assert len(finite) == 4
    before, after = watch.states
    for key, value in after.items():
        assert torch.isfinite(value.double()).all(), key
        if not any(other in key for other in OTHERS):
            assert torch.equal(value, before[key]), key
