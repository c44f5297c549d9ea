# %% [markdown]
# # Bring your own score
#
# Saliency maps of a few photographs guide the masks of a small MAE: maps on disk, the
# score of random views, a loss. The [guide](../guides/bring_your_own_score.md) makes a
# training run of it.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmpretrain.utils import register_all_modules
from PIL import Image
from skimage import color, filters, transform

from mmattmask.datasets.photographs import find_photographs
from mmattmask.visualization import draw_attention, draw_partition, membership

register_all_modules(init_default_scope=True)
MMLogger.get_instance('example', log_level='WARNING')  # not every initial weight
torch.manual_seed(0)
np.random.seed(0)  # crops

# %% [markdown]
# ## A map for each image
#
# A map is (h, w) numbers, at least 0, large = attended; its name is its image's. This
# one is how far a blurred image is from its mean colour.

# %%
folder = Path(tempfile.mkdtemp())
names = ('astronaut', 'coffee', 'rocket', 'cell')
paths = [path for path in find_photographs() if path.stem in names]
for path in paths:
    image = color.rgb2lab(np.asarray(Image.open(path).convert('RGB')))
    blurred = filters.gaussian(image, sigma=3, channel_axis=-1)
    saliency = np.linalg.norm(blurred - image.mean(axis=(0, 1)), axis=-1)
    saliency = transform.resize(saliency, (28, 28), anti_aliasing=True)
    np.save(folder / f'{path.stem}.npy', saliency.astype(np.float16))

# %% [markdown]
# ## Random views, and where they lie

# %%
steps = [
    dict(type='LoadImageFromFile'),
    dict(type='mmattmask.RandomResizedCrop', scale=112, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmattmask.PackInputs'),
]
pipeline = [TRANSFORMS.build(step) for step in steps]


def load(path):
    """Return a random view of an image."""
    sample = dict(img_path=str(path))
    for step in pipeline:
        sample = step(sample)
    return sample


batch = default_collate([load(path) for path in paths])

# %% [markdown]
# ## A small MAE that is guided by the maps

# %%
config = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(type='MAEViT', arch='deit-tiny', img_size=112, patch_size=8),
    neck=dict(
        type='MAEPretrainDecoder',
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3,
    ),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    scorer=dict(type='mmattmask.UserMaps', path=str(folder)),
    mask_generator=dict(
        type='mmattmask.AttMaskGenerator', mode='hint', mask_ratio=0.75
    ),
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)
with DefaultScope.overwrite_default_scope('mmpretrain'):
    model = MODELS.build(config)
model.init_weights()
data = model.data_preprocessor(batch, training=True)
losses = model(**data, mode='loss')
print({name: round(value.item(), 3) for name, value in losses.items()})

# %% [markdown]
# ## View, its score, who is masked

# %%
guidance = model.guidance
grid = guidance.policy_grid((112, 112))
score = guidance.score(data['inputs'], data['data_samples'])
sets = membership(guidance.decide(score, data['inputs']), grid)
views = [view.permute(1, 2, 0).numpy()[..., ::-1] for view in batch['inputs']]  # RGB
figure, axes = plt.subplots(3, len(views), figsize=(8, 6))
for column, view in enumerate(views):
    own = score[column].unflatten(0, grid).numpy()
    drawings = [view, draw_attention(view, own), draw_partition(view, sets[column])]
    for axis, drawing in zip(axes[:, column], drawings, strict=True):
        axis.imshow(drawing)
        axis.axis('off')
figure.tight_layout()
plt.show()
