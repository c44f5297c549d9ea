"""Sphinx: ``make docs`` builds README, guides, configs' READMEs and the API.

The source folder is the repository, so that links between pages are those that work
without Sphinx, too. The pages of the API are written by this file, one for each package
that says what is public in its ``__all__``.
"""

import pkgutil
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmattmask'
API = ROOT / 'docs' / 'api'

project = 'mmattmask'
version = release = re.search(r"'(.+)'", (PACKAGE / 'version.py').read_text())[1]
root_doc = 'docs/index'
include_patterns = [
    '*.md',
    'benchmarks/**.md',
    'configs/**.md',
    'docs/**.md',
    'projects/README.md',  # others there belong to what is exported
]
exclude_patterns = ['.*', 'build', 'dist', 'mmattmask', 'tests', 'work_dirs']

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
myst_heading_anchors = 3
autosummary_generate = False
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
# Detection and segmentation are documented where their packages are missing, too.
autodoc_mock_imports = [
    name for name in ('mmdet', 'mmseg', 'lvis') if find_spec(name) is None
]

html_theme = 'furo'
html_title = f'mmattmask {version}'
html_copy_source = False

LINK = re.compile(r'\[([^\]]*)\]\(([\w./-]+)\)')
PAGE = """# mmattmask.{name}

```{{eval-rst}}
.. currentmodule:: mmattmask.{name}

.. autosummary::
   :nosignatures:

   {names}

.. automodule:: mmattmask.{name}
   :imported-members:
```
"""
INDEX = """# API

{lines}

```{{toctree}}
:hidden:

{names}
```
"""


def write_api_pages(app):
    """Write one page per public package, and their index."""
    API.mkdir(exist_ok=True)
    lines, names = [], []
    for _, name, is_package in pkgutil.iter_modules([str(PACKAGE)]):
        module = import_module(f'mmattmask.{name}') if is_package else None
        public = sorted(getattr(module, '__all__', ()), key=str.lower)
        if public:
            page = PAGE.format(name=name, names='\n   '.join(public))
            write_if_new(API / f'{name}.md', page)
            summary = module.__doc__.splitlines()[0]
            lines.append(f'- [mmattmask.{name}]({name}.md): {summary}')
            names.append(name)
    index = INDEX.format(lines='\n'.join(lines), names='\n'.join(names))
    write_if_new(API / 'index.md', index)
    for path in API.glob('*.md'):
        if path.stem not in [*names, 'index']:
            path.unlink()


def write_if_new(path, text):
    """Leave a page alone that would not change: Sphinx would read it again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def lead_folders_to_readmes(app, docname, source):
    """Links to folders lead to their README, or nowhere: folders have no pages."""
    here = (ROOT / docname).parent

    def to_readme(found):
        text, target = found.groups()
        if (here / target / 'README.md').is_file():
            return f'[{text}]({target.rstrip("/")}/README.md)'
        return text if (here / target).is_dir() else found.group(0)

    source[0] = LINK.sub(to_readme, source[0])


def write_start_page(app, error):
    """Let the folder that was built open on the index."""
    if error is None:
        start = '<meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        (Path(app.outdir) / 'index.html').write_text(start)


def setup(app):
    """Connect the functions above."""
    app.connect('builder-inited', write_api_pages)
    app.connect('source-read', lead_folders_to_readmes)
    app.connect('build-finished', write_start_page)
