"""What a project consists of: ``projects/<name>/manifest.yml``."""

from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
NAMES = tuple(sorted(path.parent.name for path in FOLDER.glob('*/manifest.yml')))


@dataclass(frozen=True)
class Manifest:
    """What a project consists of.

    Attributes:
        name: The project's folder.
        public: Classes that users name in configs; what they need comes along.
        configs: Configs below configs/, exported with the bases they inherit.
        resolved: Configs exported without bases, for those whose bases belong to
            other methods.
        moves: Where folders or modules of mmattmask go that keep not their place.
    """

    name: str
    public: list[str]
    configs: list[str]
    resolved: list[str]
    moves: dict[str, str]

    def place(self, module: str) -> str:
        """Return the dotted name below the project of a module of mmattmask."""
        _, first, *rest = module.split('.')
        return '.'.join([self.moves.get(first, first), *rest])


def load(name: str) -> Manifest:
    """Read the manifest of a project."""
    content = yaml.safe_load((FOLDER / name / 'manifest.yml').read_text())
    return Manifest(name, **{'moves': {}, 'resolved': [], **content})
