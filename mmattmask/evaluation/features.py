"""Frozen features: one vector per image, from a backbone that learns nothing more."""

import dataclasses
import hashlib
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmpretrain.models import MFFViT, MILANViT, VisionTransformer
from torch import Tensor, nn

from mmattmask.scorers.self_attention import blocks_of, num_prefix_tokens_of, vit_of

Kind = Literal['cls', 'mean', 'cls_mean', 'last4']
KINDS: tuple[Kind, ...] = ('cls', 'mean', 'cls_mean', 'last4')
LAST_BLOCKS = 4
# iBOT probes narrower ViTs with last4 and wider ones with cls_mean.
BASE_WIDTH = 768
PLAIN = (str, int, float, tuple)


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """How pixels of 0 to 255 become a model's input.

    ``mean`` and ``std`` are in the order of the model's channels: red, green, blue if
    ``rgb``, else reversed.
    """

    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    rgb: bool = True


class FrozenFeatures(nn.Module):
    """A frozen backbone that gives every image one feature vector per kind.

    ``cls`` is the last block's CLS token and ``mean`` the mean of its patch tokens,
    ``cls_mean`` both side by side, ``last4`` the CLS tokens of the last four blocks
    side by side; the final norm is applied to every block that is read. Without a CLS
    token there is ``mean`` only.

    Raises:
        ValueError: If a kind does not exist, or not for this backbone.

    Source: bytedance/ibot evaluation/eval_knn.py and eval_linear.py.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        kinds: Sequence[Kind],
        normalisation: Normalisation,
        amp: bool = False,
    ) -> None:
        super().__init__()
        check_kinds(backbone, kinds)
        self.backbone = backbone.requires_grad_(False)
        self.eval()
        self.kinds = tuple(kinds)
        self.normalisation = normalisation
        self.amp = amp
        for name in ('mean', 'std'):
            value = torch.tensor(getattr(normalisation, name)).view(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.digest = digest(backbone)

    def train(self, mode: bool = True) -> 'FrozenFeatures':
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, rgb: bool) -> dict[str, Tensor]:
        """Return features by kind, (B, D) float32, of pixels (B, 3, H, W) of 0 to 255.

        ``rgb`` says whether the pixels are red, green, blue, not reversed.
        """
        pixels = images.to(self.mean.device).float()
        if rgb != self.normalisation.rgb:
            pixels = pixels.flip(1)
        pixels = (pixels - self.mean) / self.std
        with torch.autocast(pixels.device.type, enabled=self.amp):
            if not has_cls(self.backbone):
                return {'mean': _mean_of_map(run(self.backbone, pixels)).float()}
            count = LAST_BLOCKS if 'last4' in self.kinds else 1
            tokens = _last_tokens(self.backbone, pixels, count)
        prefix = num_prefix_tokens_of(self.backbone)
        return {kind: _pool(kind, tokens, prefix) for kind in self.kinds}


def has_cls(backbone: nn.Module) -> bool:
    """Say whether a backbone has a CLS token."""
    return getattr(vit_of(backbone), 'cls_token', None) is not None


def check_kinds(backbone: nn.Module, kinds: Sequence[str]) -> None:
    """Raise ValueError unless the backbone has features of these kinds."""
    name = type(backbone).__name__
    if not kinds or set(kinds) - set(KINDS):
        raise ValueError(f'features must be of {KINDS}, got {tuple(kinds)}')
    if not has_cls(backbone):
        if set(kinds) != {'mean'}:
            raise ValueError(
                f"{name} has no CLS token: only 'mean' features, got {tuple(kinds)}"
            )
        return
    if not hasattr(backbone, 'layers') and not hasattr(backbone, 'timm_model'):
        raise ValueError(
            f'{name} has a CLS token but no list of blocks to read it from'
        )
    blocks = len(blocks_of(backbone))
    if 'last4' in kinds and blocks < LAST_BLOCKS:
        raise ValueError(
            f'last4 needs {LAST_BLOCKS} blocks, and this {name} has {blocks}'
        )


def knn_kind(backbone: nn.Module) -> Kind:
    """Return the features that k-NN uses unless told otherwise."""
    return 'cls' if has_cls(backbone) else 'mean'


def linear_kind(backbone: nn.Module) -> Kind:
    """Return the features that iBOT probes, by the backbone's width."""
    if not has_cls(backbone):
        return 'mean'
    narrow = vit_of(backbone).cls_token.shape[-1] < BASE_WIDTH
    return 'last4' if narrow and len(blocks_of(backbone)) >= LAST_BLOCKS else 'cls_mean'


def run(backbone: nn.Module, pixels: Tensor) -> Any:
    """Run a backbone on whole images, unmasked."""
    if isinstance(backbone, MFFViT | MILANViT):
        # MFFViT drops mask=None on the way to MAEViT, which then masks; MILANViT's
        # forward has no such argument
        return VisionTransformer.forward(backbone, pixels)
    if 'mask' in inspect.signature(backbone.forward).parameters:
        return backbone(pixels, mask=None)
    return backbone(pixels)


def digest(module: nn.Module) -> str:
    """Hash a module's weights, buffers and plain options: 32 hexadecimal digits."""
    result = hashlib.blake2b(digest_size=16)
    for part in module.modules():  # heads, interpolation: not all of them are printed
        options = vars(part).items()
        plain = [item for item in options if isinstance(item[1], PLAIN)]
        result.update(repr(plain).encode())
    for name, value in sorted(module.state_dict().items()):
        result.update(f'{name} {value.dtype} {tuple(value.shape)} '.encode())
        flat = value.detach().cpu().contiguous().flatten()
        result.update(flat.view(torch.uint8).numpy())
    return result.hexdigest()


def _pool(kind: str, tokens: Sequence[Tensor], prefix: int) -> Tensor:
    """Make the feature of one kind from the last blocks' tokens, (B, N, C) each."""
    last = tokens[-1].float()
    if kind == 'last4':
        return torch.cat([block[:, 0].float() for block in tokens], dim=1)
    if kind == 'cls':
        return last[:, 0]
    mean = last[:, prefix:].mean(dim=1)
    return mean if kind == 'mean' else torch.cat([last[:, 0], mean], dim=1)


def _last_tokens(vit: nn.Module, pixels: Tensor, count: int) -> list[Tensor]:
    """Return the tokens of the last blocks, each after the final norm."""
    outputs: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda module, args, out: outputs.append(out))
        for block in blocks_of(vit)[-count:]
    ]
    try:
        run(vit, pixels)
    finally:
        for handle in handles:
            handle.remove()
    inner = vit_of(vit)
    if hasattr(vit, 'timm_model'):
        norm = inner.norm
    else:
        norm = inner.ln1 if inner.final_norm else nn.Identity()
    return [norm(tokens) for tokens in outputs]


def _mean_of_map(output: Any) -> Tensor:
    """Average the last output of a backbone without CLS token over its places."""
    last = output if isinstance(output, Tensor) else output[-1]
    if last.ndim == 4:
        return last.mean(dim=(2, 3))
    return last.mean(dim=1) if last.ndim == 3 else last
