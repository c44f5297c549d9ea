"""What is in the zoo: one folder below ``entries/`` for each model.

A folder ``NAME`` holds ``metafile.yml`` (a model index with one model), ``NAME.py``
(the whole config), ``NAME.safetensors``, and ``NAME.log.json`` (scalars of training).
There is no list of models beside the folders.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ENTRIES = Path(__file__).parent / 'entries'
METAFILE = 'metafile.yml'
# Where a checkpoint is expected, 'mmattmask://NAME' means the weights of that model.
SCHEME = 'mmattmask://'
# pathlib makes one slash of two
ADDRESS = re.compile(r'mmattmask:/{1,2}(?P<name>[^/]+)$')


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: What it is called.
        folder: Where its files are.
        meta: Its model in the metafile, in MMPretrain's format.
    """

    name: str
    folder: Path
    meta: dict[str, Any]

    @property
    def config(self) -> Path:
        """The whole config of the run."""
        return self.folder / self.meta['Config']

    @property
    def weights(self) -> Path:
        """The weights, not checked; see :func:`weights_path`."""
        return self.folder / f'{self.name}.safetensors'

    @property
    def log(self) -> Path:
        """Scalars of the training, one JSON object a line."""
        return self.folder / f'{self.name}.log.json'

    @property
    def metadata(self) -> dict[str, Any]:
        """Data, budget, machine, checksum."""
        return dict(self.meta['Metadata'])

    @property
    def metrics(self) -> dict[str, float]:
        """All measured numbers by their names."""
        return {
            name: value
            for result in self.meta['Results']
            for name, value in result['Metrics'].items()
        }

    @property
    def provenance(self) -> str:
        """One sentence: what data, what budget, what machine, what accuracy."""
        data = self.metadata
        return (
            f'{data["Training Data"]}; {data["Budget"]}; on '
            f'{data["Training Resources"]}; {listed(self.metrics)}'
        )


def listed(metrics: Mapping[str, float]) -> str:
    """Return numbers and their names for people."""
    return ', '.join(f'{name}: {value:g}' for name, value in metrics.items())


def list_models(pattern: str = '*') -> list[str]:
    """Return the names of the models that match a shell pattern, sorted."""
    folders = ENTRIES.glob(f'*/{METAFILE}')
    return sorted(p.parent.name for p in folders if fnmatch(p.parent.name, pattern))


def find_entry(name: str) -> Entry:
    """Return a model's entry.

    Raises:
        ValueError: If there is no such model.
    """
    names = list_models()
    if name not in names:
        raise ValueError(
            f'there is no model {name!r} in the zoo; there are {", ".join(names)}'
            if names
            else f'there is no model {name!r} in the zoo, which is empty'
        )
    import yaml

    folder = ENTRIES / name
    content = yaml.safe_load((folder / METAFILE).read_text(encoding='utf-8'))
    (meta,) = content['Models']
    return Entry(name, folder, meta)


def weights_path(name: str) -> Path:
    """Return the path of a model's weights, for ``checkpoint=`` and command lines.

    Raises:
        ValueError: If there is no such model, or the file is not the published one.
        FileNotFoundError: If the file is missing.
    """
    entry = find_entry(name)
    if not entry.weights.is_file():
        raise FileNotFoundError(
            f'the weights of {name} are missing: there is no {entry.weights}; install '
            'the package again'
        )
    found = hashlib.sha256(entry.weights.read_bytes()).hexdigest()
    expected = entry.metadata['SHA256']
    if found != expected:
        raise ValueError(
            f'{entry.weights} ({entry.weights.stat().st_size} bytes) is not the '
            f'published file: its SHA-256 is {found}, not {expected}; it was changed '
            'or damaged (is it a pointer of Git LFS?), install the package again'
        )
    return entry.weights


def resolve(checkpoint: str | Path) -> Path:
    """Return the path of a checkpoint; ``'mmattmask://NAME'`` is one of the zoo.

    Raises:
        ValueError: See :func:`weights_path`.
        FileNotFoundError: See :func:`weights_path`; other files are not looked at.
    """
    match = ADDRESS.match(str(checkpoint))
    return Path(checkpoint) if match is None else weights_path(match['name'])
