"""Bring a finished comparison into docs/study.md: its rows, charts and tables.

python docs/make_study.py WORK_DIR    copy rows and curves, renew charts and tables
python docs/make_study.py             renew them from the rows that are there
"""

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from mmattmask.comparison.report import as_markdown, draw
from mmattmask.comparison.table import as_frame

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / 'study.md'
FOLDER = DOCS / 'study'
BASELINE = CONTROL = 'random'
BEGIN, END = '<!-- tables -->', '<!-- end of tables -->'
# What only matters while runs go on, or names the machine's folders.
DROPPED = ('settings', 'checkpoint')


def collect(work_dir: Path) -> None:
    """Copy what a comparison wrote."""
    FOLDER.mkdir(exist_ok=True)
    rows = json.loads((work_dir / 'runs.json').read_text())
    rows = [{k: v for k, v in row.items() if k not in DROPPED} for row in rows]
    (FOLDER / 'runs.json').write_text(json.dumps(rows, indent=1) + '\n')
    pd.DataFrame(rows).to_csv(FOLDER / 'runs.csv', index=False)
    for path in sorted(work_dir.glob('*.svg')):
        shutil.copy(path, FOLDER / path.name)


def committed() -> pd.DataFrame:
    """Return the committed rows."""
    return as_frame(json.loads((FOLDER / 'runs.json').read_text()))


def charts(folder: Path) -> list[Path]:
    """Draw the differences of the committed rows; return the SVGs."""
    drawn = list(draw(committed(), CONTROL, folder).values())
    for path in drawn:
        path.with_suffix('.png').unlink()
    return drawn


def renewed(page: str) -> str:
    """Return the page with new tables between its marks."""
    new = f'{BEGIN}\n\n{as_markdown(committed(), BASELINE, CONTROL)}\n{END}'
    return re.sub(f'{BEGIN}.*{END}', lambda _: new, page, flags=re.DOTALL)


def main(arguments: list[str]) -> None:
    """Run ``python docs/make_study.py``."""
    if arguments:
        collect(Path(arguments[0]))
    charts(FOLDER)
    PAGE.write_text(renewed(PAGE.read_text()))


if __name__ == '__main__':
    main(sys.argv[1:])
