"""A host that predicts its score, at any progress of the training."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS


@pytest.fixture
def score_predicting_mae(guided_mae_config, monkeypatch):
    """Builder of an initialised model at a progress, with a score."""

    def make(variant='paper', progress=0.0, score='random', **changes):
        head = dict(variant=variant)
        for key in ('loss_weight', 'switch', 'scope', 'depth'):
            if key in changes:
                head[key] = changes.pop(key)
        torch.manual_seed(0)
        model = MODELS.build(
            guided_mae_config(
                type='mmattmask.ScorePredictingMAE',
                attention_head=head,
                scorer=dict(type='mmattmask.CachedAttention'),
                **changes,
            )
        )
        model.init_weights()
        if isinstance(score, str):
            score = torch.rand(3, model.backbone.num_patches)
        model.guidance.score = lambda inputs, data_samples: score
        set_progress(progress)
        return model

    def set_progress(progress):
        hub = MessageHub('progress')
        hub.update_info_dict(dict(epoch=100 * progress, max_epochs=100))
        monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)

    make.set_progress = set_progress
    return make
