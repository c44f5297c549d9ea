"""Bring a finished comparison into docs/study.md: its rows, curves and tables.

python docs/make_study.py WORK_DIR    copy rows and curves, renew the tables
python docs/make_study.py             renew the tables from the rows that are there
"""

import json
import re
import shutil
import sys
from pathlib import Path

from mmattmask.comparison.report import as_markdown
from mmattmask.comparison.table import as_csv, measures_of, summaries

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / 'study.md'
FOLDER = DOCS / 'study'
BASELINE = 'random'
BEGIN, END = '<!-- tables -->', '<!-- end of tables -->'
# What only matters while runs go on, or names the machine's folders.
DROPPED = ('settings', 'checkpoint')


def collect(work_dir: Path) -> None:
    """Copy what a comparison wrote."""
    FOLDER.mkdir(exist_ok=True)
    rows = json.loads((work_dir / 'runs.json').read_text())
    rows = [{k: v for k, v in row.items() if k not in DROPPED} for row in rows]
    (FOLDER / 'runs.json').write_text(json.dumps(rows, indent=1) + '\n')
    (FOLDER / 'runs.csv').write_text(as_csv(rows))
    for path in sorted(work_dir.glob('*.svg')):
        shutil.copy(path, FOLDER / path.name)


def tables() -> str:
    """Return the tables of the committed rows."""
    rows = json.loads((FOLDER / 'runs.json').read_text())
    return as_markdown(summaries(rows, BASELINE), measures_of(rows))


def renewed(page: str) -> str:
    """Return the page with new tables between its marks."""
    new = f'{BEGIN}\n\n{tables()}\n{END}'
    return re.sub(f'{BEGIN}.*{END}', lambda _: new, page, flags=re.DOTALL)


def main(arguments: list[str]) -> None:
    """Run ``python docs/make_study.py``."""
    if arguments:
        collect(Path(arguments[0]))
    PAGE.write_text(renewed(PAGE.read_text()))


if __name__ == '__main__':
    main(sys.argv[1:])
