"""What few-shot attention selection found: table, heat map, JSON and CSV."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from mmattmask.evaluation.head_selection import (
    AVERAGES,
    Average,
    HeadRecall,
    centre_map,
    head_recall,
)
from mmattmask.visualization.panels import COLORMAP, FAINT_INK, INK, PAPER, to_array

CELL = 0.5  # inches


@dataclasses.dataclass(frozen=True)
class SelectionReport:
    """The recall of every block and head at both k, and the choice.

    Attributes:
        recalls: By ``'annotated'`` (k = annotated patches, decides) and ``'ratio'``.
        centres: The same of a map that only knows the centre of the image.
        ratio: Share of all patches in the second k.
        average: Over images, decides.
        num_images: Images that were read.
    """

    recalls: dict[str, HeadRecall]
    centres: dict[str, HeadRecall]
    ratio: float
    average: Average
    num_images: int

    @classmethod
    def from_maps(
        cls,
        maps: Tensor,
        foreground: Tensor,
        grid: tuple[int, int],
        ratio: float = 0.75,
        average: Average = 'macro',
    ) -> 'SelectionReport':
        """Measure maps (B, blocks, heads, L) against foreground (B, L)."""
        centre = centre_map(grid).expand(len(maps), -1, -1, -1)
        k = dict(annotated=None, ratio=ratio)
        return cls(
            {name: head_recall(maps, foreground, r) for name, r in k.items()},
            {name: head_recall(centre, foreground, r) for name, r in k.items()},
            ratio,
            average,
            len(maps),
        )

    @property
    def chosen(self) -> tuple[int, int | None]:
        """Block and head; None is the sum of all heads."""
        return self.recalls['annotated'].best(self.average)

    @property
    def num_used(self) -> int:
        """Images with an annotated patch."""
        return len(self.recalls['annotated'].hits)

    def text(self) -> str:
        """Return the table in Markdown and the choice, in percent."""
        recall = self.recalls['annotated']
        table = _frame(100 * recall.table(self.average)).map('{:.1f}'.format)
        block, head = self.chosen
        best = (block, 'all' if head is None else head)
        table.loc[best] = f'**{table.loc[best]}**'
        lines = [
            f'Recall (%) among the top k = annotated patches, {self.average} average '
            f'over {self.num_used} images; {self.num_images - self.num_used} without '
            'an annotated patch left out.',
            '',
            table.to_markdown(disable_numparse=True, stralign='right'),
            '',
            f'chosen: {self.describe(block, head)}',
        ]
        if head is None:
            single = recall.best(self.average, all_heads=False)
            lines.append(f'best single head: {self.describe(*single)}')
        for name, numbers in self.references().items():
            lines.append(f'{name}: {self._percent(numbers)}')
        return '\n'.join(lines)

    def describe(self, block: int, head: int | None) -> str:
        """Return one line with all recalls of one choice."""
        name = 'all heads' if head is None else f'head {head}'
        numbers = {
            key: recall.at(block, head, average)
            for key, (recall, average) in self._each(self.recalls).items()
        }
        return f'block {block}, {name}: {self._percent(numbers)}'

    def references(self) -> dict[str, dict[str, float]]:
        """Return the recalls of a random ranking and of the centre of the image."""
        return dict(
            random={k: r.chance(a) for k, (r, a) in self._each(self.recalls).items()},
            centre={k: r.at(0, 0, a) for k, (r, a) in self._each(self.centres).items()},
        )

    def write(self, folder: Path, options: dict[str, Any]) -> None:
        """Write ``head_recall.json``, with options, ``.csv``, ``.md`` and ``.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {
            key: _frame(recall.table(average))
            for key, (recall, average) in self._each(self.recalls).items()
        }
        block, head = self.chosen
        content = dict(
            chosen=dict(block=block, head=head),
            images=dict(read=self.num_images, annotated=self.num_used),
            recall={key: table.to_numpy().tolist() for key, table in tables.items()},
            references=self.references(),
            options=options,
        )
        path = folder / 'head_recall'
        path.with_suffix('.json').write_text(json.dumps(content, indent=1) + '\n')
        path.with_suffix('.md').write_text(self.text() + '\n')
        stacked = {key: table.stack() for key, table in tables.items()}
        pd.DataFrame(stacked).to_csv(path.with_suffix('.csv'))
        Image.fromarray(self.draw()).save(path.with_suffix('.png'))

    def draw(self) -> Any:
        """Draw both tables as heat maps, uint8 RGB."""
        block, head = self.chosen
        names = dict(
            annotated='k = annotated patches',
            ratio=f'k = {self.ratio:g} of all patches',
        )
        references = self.references().items()
        titles = []
        for key, name in names.items():
            column = f'{key}_{self.average}'
            reached = [f'{what} {100 * own[column]:.0f}' for what, own in references]
            title = f'{self.average} recall (%), {name}'
            titles.append(f'{title}\nreferences: {", ".join(reached)}')
        tables = [r.table(self.average).numpy() for r in self.recalls.values()]
        heads = tables[0].shape[1] - 1
        marked = (block, heads if head is None else head)
        return draw_heat_maps(tables, titles, marked)

    def _each(
        self, recalls: dict[str, HeadRecall]
    ) -> dict[str, tuple[HeadRecall, Average]]:
        return {
            f'{key}_{average}': (recall, average)
            for key, recall in recalls.items()
            for average in AVERAGES
        }

    def _percent(self, numbers: dict[str, float]) -> str:
        names = dict(annotated='k = annotated', ratio=f'k = {self.ratio:g} L')
        parts = []
        for key, value in numbers.items():
            k, _, average = key.partition('_')
            parts.append(f'{names[k]} {average} {100 * value:.1f}')
        return ', '.join(parts)


def draw_heat_maps(
    tables: Sequence[np.ndarray],
    titles: Sequence[str],
    marked: tuple[int, int],
) -> np.ndarray:
    """Draw tables of shares, (blocks, heads + 1) each, above each other; uint8 RGB.

    The last column is the sum of all heads. Colours go from each table's smallest to
    its largest value. A cell (row, column) is framed.
    """
    blocks, columns = tables[0].shape
    size = (max(CELL * columns + 1.6, 4.6), (CELL * blocks + 1.5) * len(tables))
    figure = Figure(figsize=size, dpi=120, layout='constrained')
    all_axes = figure.subplots(len(tables), squeeze=False)[:, 0]
    for axes, table, title in zip(all_axes, tables, titles, strict=True):
        table = 100 * np.asarray(table, dtype=np.float64)
        axes.imshow(table, cmap=COLORMAP)
        middle = 0.42 * table.min() + 0.58 * table.max()  # of inferno's lightness
        for (row, column), value in np.ndenumerate(table):
            color = INK if value > middle else PAPER
            axes.text(
                column, row, f'{value:.0f}', ha='center', va='center', color=color
            )
        axes.axvline(columns - 1.5, color=PAPER, linewidth=4)  # the sum stands apart
        corner = (marked[1] - 0.5, marked[0] - 0.5)
        for color, width in ((PAPER, 5.0), (INK, 2.2)):
            line: Any = dict(edgecolor=color, linewidth=width, clip_on=False, zorder=3)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, **line))
        axes.set_title(title, fontsize=11, color=INK, loc='left')
        axes.set_xticks(range(columns), [*map(str, range(columns - 1)), 'all'])
        axes.set_yticks(range(blocks))
        axes.set_xlabel('head', color=FAINT_INK)
        axes.set_ylabel('block', color=FAINT_INK)
        axes.tick_params(length=0, colors=FAINT_INK)
        axes.set_frame_on(False)
    return to_array(figure)


def _frame(table: Tensor) -> pd.DataFrame:
    """Name the blocks and heads of a table (blocks, heads + 1)."""
    heads = [*range(table.shape[1] - 1), 'all']
    frame = pd.DataFrame(table.numpy(), columns=pd.Index(heads, name='head'))
    return frame.rename_axis('block')
