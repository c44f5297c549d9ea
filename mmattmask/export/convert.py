"""One encoder, any project: read a checkpoint of any kind, write what another expects.

Position embeddings go as they are, row by row. MMPretrain's sine-cosine table runs
through the grid column by column, official MAE's row by row; each row of a stored table
belongs to its patch either way. So never compute the table again on the other side,
and never transpose it.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mmattmask.export.hugging_face import vit_config
from mmattmask.export.sources import KINDS, listed, read_source
from mmattmask.export.targets import TARGETS, to_target
from mmattmask.files import whole_file, write_text
from mmattmask.version import __version__

PICKLES = ('.pth', '.pt')
SAFETENSORS = '.safetensors'


@dataclasses.dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes:
        source: The file that was read.
        kind: Whose it is, a key of ``KINDS``.
        target: A key of ``TARGETS``.
        out: The file or folder that was written.
        converted: How many tensors are in it.
        left_out: How many tensors of the source are not, by what they are part of.
        notes: What else is good to know.
    """

    source: Path
    kind: str
    target: str
    out: Path
    converted: int
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return lines for people."""
        lines = [
            f'{self.source}: {KINDS[self.kind]}',
            f'{self.out}: {TARGETS[self.target].what}, {self.converted} tensors',
            f'left out: {listed(self.left_out) or "nothing"}',
            *(f'note: {note}' for note in self.notes),
        ]
        return '\n'.join(lines) + '\n'


def convert_checkpoint(
    path: str | Path,
    to: str,
    out: str | Path,
    *,
    key: str | None = None,
    prefix: str | None = None,
    num_heads: int | None = None,
    grid: tuple[int, int] | None = None,
    force: bool = False,
) -> Report:
    """Convert the encoder of a checkpoint for another project.

    Nothing in the file is executed. The output appears at once or not at all.

    Args:
        path: A checkpoint of a kind in ``KINDS``.
        to: A key of ``TARGETS``.
        out: A new ``.pth``, ``.pt`` or ``.safetensors`` file; of ``'hf'``, a folder.
            Folders above it are made.
        key: Which network of a file of several, such as ``'teacher'``. Defaults to the
            backbone; of iBOT, the teacher's.
        prefix: What names begin with. Defaults to what the target expects; ``''`` is
            nothing.
        num_heads: For ``'hf'``. Defaults to what the config in an MMEngine checkpoint
            says, or the usual number for the width.
        grid: For ``'hf'``, patches (h, w) of the position embedding. Defaults to what
            the config in an MMEngine checkpoint says, or a square.
        force: Whether ``out`` may be written over.

    Raises:
        FileNotFoundError: If there is no such file.
        FileExistsError: If ``out`` is there and ``force`` is off.
        ValueError: If the file is damaged, holds code or no known ViT, or weights of
            the encoder have no place in the target.
    """
    out = Path(out)
    _check_out(out, to, force)
    if out.exists() and out.samefile(path):
        raise FileExistsError(f'{out} is the checkpoint itself')
    source = read_source(path, key)
    weights, dropped, notes = to_target(source, to, prefix)
    metadata = {
        'source': source.path.name,
        'sha256': hashlib.sha256(source.path.read_bytes()).hexdigest(),
        'kind': source.kind,
        'key': source.network or '',
        'target': to,
        'written_by': f'mmattmask {__version__}',
        'cfg': source.config,
    }
    # views would be stored with all of the tensor that they are a part of
    weights = {name: value.clone().contiguous() for name, value in weights.items()}
    if to == 'hf':
        num_heads = num_heads or source.num_heads
        config = vit_config(source.weights, num_heads, grid or source.grid)
        write_text(out / 'config.json', json.dumps(config, indent=2) + '\n')
        _save_safetensors(out / 'model.safetensors', weights, metadata)
        if num_heads is None:
            heads = config['num_attention_heads']
            notes.append(f'{heads} heads, as usual for this width, see --num-heads')
    elif out.suffix == SAFETENSORS:
        _save_safetensors(out, weights, metadata)
    else:
        container = TARGETS[to].container
        content = {container: weights, 'meta': metadata} if container else weights
        with whole_file(out) as file:
            torch.save(content, file)
    if key is None and source.networks:
        taken = f'this is its {source.network}, ' if source.network else ''
        names = ', '.join(source.networks)
        notes.append(f'{taken}networks in the file are {names}: --key')
    left_out = {**source.left_out, **dropped}
    return Report(
        source.path, source.kind, to, out, len(weights), left_out, tuple(notes)
    )


def _check_out(out: Path, to: str, force: bool) -> None:
    """Refuse an output before anything large is read."""
    if to not in TARGETS:
        raise ValueError(f'there is no target {to!r}; there are {", ".join(TARGETS)}')
    endings = (*PICKLES, SAFETENSORS)
    if (to == 'hf') == (out.suffix in endings):
        wanted = 'a folder' if to == 'hf' else f'a file in {", ".join(endings)}'
        raise ValueError(f'{to} needs {wanted}, got {out}')
    if out.exists() and not force:
        raise FileExistsError(f'{out} is there already: --force writes over it')
    if out.exists() and out.is_dir() != (to == 'hf'):
        raise FileExistsError(f'{out} is not {"a folder" if to == "hf" else "a file"}')


def _save_safetensors(
    path: Path, weights: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    # readers of this format ask for the first entry
    metadata = {'format': 'pt', **metadata}
    with whole_file(path) as file:
        save_file(weights, file, metadata)
