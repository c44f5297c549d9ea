# %% [markdown]
# # Masking in one page
#
# A **score** says how much each patch is attended, a **policy** turns scores into who
# is visible, masked and thrown. Here the score is the contrast of colours, so that
# nothing needs weights; the [guide](../guides/masking_101.md) has attention, too.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

from mmattmask.mask_generators import AMTMaskGenerator
from mmattmask.masking import view_score
from mmattmask.visualization import (
    apply_policy,
    draw_attention,
    draw_partition,
    draw_policies,
    draw_ranking,
    example_policies,
    membership,
)

GRID = (14, 14)


def show(*pictures, width=10):
    """Draw pictures beside each other."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(width, width / 3))
    for axis, picture in zip(np.atleast_1d(axes), pictures, strict=True):
        axis.imshow(picture)
        axis.axis('off')
    figure.tight_layout()
    plt.show()


# %% [markdown]
# ## A score for each patch

# %%
image = data.coffee()[:392, 100:492]


def contrast(image, grid=GRID):
    """Return how far each patch's colour is from the mean colour, in [0, 1]."""
    height, width = image.shape[0] // grid[0], image.shape[1] // grid[1]
    patches = image.reshape(grid[0], height, grid[1], width, 3).mean(axis=(1, 3))
    distance = np.linalg.norm(patches - patches.mean(axis=(0, 1)), axis=-1)
    return distance / distance.max()


score = contrast(image)
show(image, draw_attention(image, score), draw_ranking(image, score))

# %% [markdown]
# ## AMT: mask by drawing, throw what is drawn next
#
# The encoder sees 30 of 196 patches, the decoder 118: thrown ones are never computed.

# %%
flat = torch.from_numpy(score).float().flatten()[None]
generator = AMTMaskGenerator(mask_ratio=0.45, throw_ratio=0.40)
partition = generator(flat, torch.Generator().manual_seed(0))
print(partition.budget)
show(image, draw_partition(image, membership(partition, GRID)[0]))

# %% [markdown]
# ## All policies on this score

# %%
sets = {
    policy.name: apply_policy(policy, flat, GRID)[0]
    for policy in example_policies(num_patches=196)
}
picture = draw_policies(image, score, sets)
plt.figure(figsize=(9, 9))
plt.imshow(picture)
plt.axis('off')
plt.show()

# %% [markdown]
# ## The score of a view
#
# Maps are of whole images; a crop, resized and flipped, has the score of its region.

# %%
top, left, height, width = 20, 40, 220, 220
view = image[top : top + height, left : left + width][:, ::-1]
of_view = view_score(
    torch.from_numpy(score)[None],
    crop_box=torch.tensor([[top, left, height, width]]),
    image_size=torch.tensor([image.shape[:2]]),
    flip=torch.tensor([[False, True]]),
    grid=GRID,
)
show(view, draw_attention(view, of_view.unflatten(1, GRID)[0].numpy()))
