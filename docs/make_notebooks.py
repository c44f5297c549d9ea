"""Turn the scripts in examples/ into notebooks in docs/notebooks/: ``make notebooks``.

The result depends on the scripts alone: no outputs, one kernel, cells numbered.
"""

from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / 'examples'
DEMO = 'demo.py'  # a command, not a notebook
NOTEBOOKS = ROOT / 'docs' / 'notebooks'
METADATA = {
    'kernelspec': {
        'display_name': 'Python 3',
        'language': 'python',
        'name': 'python3',
    },
    'language_info': {'name': 'python'},
}


def notebook(script: Path) -> str:
    """Return the notebook of a script in percent format."""
    book = jupytext.read(script, fmt='py:percent')
    book.metadata = nbformat.from_dict(METADATA)
    book.nbformat, book.nbformat_minor = 4, 5
    for number, cell in enumerate(book.cells):
        cell.id = f'cell-{number}'
        cell.metadata = nbformat.from_dict({})
    nbformat.validate(book)
    return nbformat.writes(book) + '\n'


def main(folder: Path = NOTEBOOKS) -> list[Path]:
    """Write all notebooks, remove those without a script; return what there is."""
    folder.mkdir(parents=True, exist_ok=True)
    scripts = [path for path in sorted(EXAMPLES.glob('*.py')) if path.name != DEMO]
    paths = [folder / f'{script.stem}.ipynb' for script in scripts]
    for script, path in zip(scripts, paths, strict=True):
        path.write_text(notebook(script))
    for path in set(folder.glob('*.ipynb')) - set(paths):
        path.unlink()
    return paths


if __name__ == '__main__':
    for made in main():
        print(made.relative_to(ROOT))
