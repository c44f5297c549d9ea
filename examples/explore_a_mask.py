# %% [markdown]
# # Explore a mask
#
# Sliders over the ratios if `ipywidgets` is installed, else a grid of them. Try what
# throwing leaves of the image, and where *Hint* shows what *High* hides.

# %%
import importlib.util

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

from mmattmask.mask_generators import (
    AMTMaskGenerator,
    AttMaskGenerator,
    RandomMaskGenerator,
    SoftToHardMaskGenerator,
)
from mmattmask.visualization import Policy, apply_policy, draw_partition

GRID = (14, 14)
image = data.chelsea()[4:298, 60:354]


def contrast(image, grid=GRID):
    """Return how far each patch's colour is from the mean colour, in [0, 1]."""
    height, width = image.shape[0] // grid[0], image.shape[1] // grid[1]
    patches = image.reshape(grid[0], height, grid[1], width, 3).mean(axis=(1, 3))
    distance = np.linalg.norm(patches - patches.mean(axis=(0, 1)), axis=-1)
    return distance / distance.max()


score = torch.from_numpy(contrast(image)).float().flatten()[None]

# %%
POLICIES = {
    'random': lambda mask, throw: RandomMaskGenerator(mask, throw),
    'AMT': lambda mask, throw: AMTMaskGenerator(mask, throw),
    'AMT, throws the least attended': lambda mask, throw: AMTMaskGenerator(
        mask, throw, throw='low'
    ),
    'AttMask High': lambda mask, throw: AttMaskGenerator('high', mask),
    'AttMask Hint': lambda mask, throw: AttMaskGenerator('hint', mask),
    'AttMask Low': lambda mask, throw: AttMaskGenerator('low', mask),
    'GPA': lambda mask, throw: SoftToHardMaskGenerator(mask),
}


def draw(policy, mask_ratio, throw_ratio, progress=0.0, seed=0):
    """Return a picture and what is in it."""
    throw_ratio = min(throw_ratio, 0.98 - mask_ratio)  # something stays visible
    generator = POLICIES[policy](mask_ratio, max(throw_ratio, 0.0))
    named = Policy(policy, generator, progress)
    sets = apply_policy(named, score, GRID, seed)[0]
    visible, masked, thrown = (int((sets == value).sum()) for value in range(3))
    return draw_partition(image, sets), f'{visible} | {masked} | {thrown}'


def show(policy, mask_ratio, throw_ratio, progress, seed):
    """Draw one partition: visible | masked | thrown."""
    picture, counts = draw(policy, mask_ratio, throw_ratio, progress, seed)
    plt.figure(figsize=(4, 4))
    plt.imshow(picture)
    plt.title(counts)
    plt.axis('off')
    plt.show()


# %% [markdown]
# ## Sliders, or a grid

# %%
if importlib.util.find_spec('ipywidgets'):
    from ipywidgets import FloatSlider, IntSlider, interact

    interact(
        show,
        policy=list(POLICIES),
        mask_ratio=FloatSlider(0.45, min=0.05, max=0.9, step=0.05),
        throw_ratio=FloatSlider(0.40, min=0.0, max=0.9, step=0.05),
        progress=FloatSlider(0.0, min=0.0, max=1.0, step=0.1),
        seed=IntSlider(0, min=0, max=20),
    )
else:
    ratios = [(0.75, 0.0), (0.45, 0.0), (0.45, 0.4), (0.3, 0.6)]
    figure, axes = plt.subplots(len(POLICIES), len(ratios), figsize=(8, 15))
    for row, policy in zip(axes, POLICIES, strict=True):
        for axis, (mask_ratio, throw_ratio) in zip(row, ratios, strict=True):
            picture, counts = draw(policy, mask_ratio, throw_ratio)
            axis.imshow(picture)
            axis.set_title(counts, fontsize=8)
            axis.axis('off')
        row[0].set_title(f'{policy}\n{row[0].get_title()}', fontsize=8)
    figure.tight_layout()
    plt.show()
