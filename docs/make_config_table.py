"""Write docs/configs.md: every config with what its metafile says of it.

python docs/make_config_table.py
"""

import ast
import os
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'configs.md'
HEAD = """# All configs

From the metafiles, by `python docs/make_config_table.py`; a test holds it up to date.
What a config is for, and the papers' numbers, are in the README of its folder. Where
there is no column of results, there are none of our own.
"""
COLUMNS = ['config', 'what', 'length', 'batch', 'data', 'results']


def table() -> str:
    """Return the page."""
    parts = [HEAD]
    for name in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        content = yaml.safe_load((ROOT / name).read_text())
        (collection,) = content['Collections']
        readme = os.path.relpath(ROOT / collection['README'], PAGE.parent)
        rows = [COLUMNS, ['---'] * len(COLUMNS), *map(cells, content['Models'])]
        if not any(cells[-1] for cells in rows[2:]):
            rows = [cells[:-1] for cells in rows]
        title = f'## {collection["Name"]}\n\n[{Path(name).parent}]({readme})\n'
        parts += [title, *map(row, rows), '']
    return '\n'.join(parts).rstrip('\n') + '\n'


def row(values) -> str:
    """Return one line of a table."""
    return f'| {" | ".join(values)} |'


def cells(model: dict) -> list[str]:
    """Return a config's cells."""
    link = os.path.relpath(ROOT / model['Config'], PAGE.parent)
    docstring = ast.get_docstring(ast.parse((ROOT / model['Config']).read_text()))
    what = ' '.join(docstring.split('\n\n')[0].split()).rstrip('.')
    metadata = model['Metadata']
    return [
        f'[{model["Name"]}]({link})',
        what.replace('|', '\\|'),
        length(metadata),
        str(metadata['Batch Size']),
        str(metadata.get('Training Data', '')),
        results(model.get('Results')),
    ]


def length(metadata: dict) -> str:
    """Return epochs or iterations."""
    for name in ('Epochs', 'Iterations'):
        if name in metadata:
            return f'{metadata[name]} {name.lower()}'
    return ''


def results(found: list[dict] | None) -> str:
    """Return measured results, such as ``ImageNet-1k: Top 1 61.7``."""
    return '; '.join(
        f'{result.get("Dataset", result["Task"])}: '
        + ', '.join(f'{name} {value}' for name, value in result['Metrics'].items())
        for result in found or ()
    )


if __name__ == '__main__':
    PAGE.write_text(table())
