"""How a report looks: one style sheet, in the colours of all our pictures."""

from mmattmask.visualization.palette import (
    FAINT_INK,
    INK,
    MASKED,
    PAPER,
    RGB,
    THROWN,
    THROWN_LINE,
)

LIGHT = {
    'paper': PAPER,
    'ink': INK,
    'faint': FAINT_INK,
    'line': (216, 220, 227),
    'tint': (238, 242, 248),
    'link': (32, 84, 147),
}
DARK = {
    'paper': tuple(value * 5 // 8 for value in THROWN),
    'ink': (232, 234, 239),
    'faint': (172, 177, 187),
    'line': THROWN_LINE,
    'tint': THROWN,
    'link': tuple((value + 255) // 2 for value in MASKED),
}


def _variables(colors: dict[str, RGB]) -> str:
    return ' '.join(
        f'--{name}: rgb({red} {green} {blue});'
        for name, (red, green, blue) in colors.items()
    )


# Pictures are drawn on white paper; in the dark they keep it, as a card.
STYLE = f"""\
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{
  :root {{ {_variables(DARK)} }}
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans',
    sans-serif;
  overflow-wrap: break-word;
}}
h1 {{ font-size: clamp(1.5rem, 1.2rem + 1.5vw, 2.2rem); line-height: 1.2;
  margin: 0.5rem 0; }}
h2 {{ font-size: 1.3rem; line-height: 1.3; margin: 2.5rem 0 0.75rem;
  padding-top: 0.75rem; border-top: 1px solid var(--line); }}
p {{ max-width: 44rem; margin: 0.75rem 0; }}
.summary {{ font-size: 1.1rem; color: var(--faint); margin-bottom: 1.25rem; }}
a {{ color: var(--link); }}
nav ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem;
  margin: 0; padding: 0; }}
.scroll {{ overflow-x: auto; max-width: 100%; margin: 0.5rem 0; }}
.scroll:focus-visible, pre:focus-visible, summary:focus-visible {{
  outline: 2px solid var(--link); outline-offset: 2px; }}
table {{ border-collapse: collapse; font-size: 0.95rem;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.35rem 0.9rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ padding-left: 0.25rem; }}
thead th {{ border-bottom: 2px solid var(--faint); vertical-align: bottom; }}
tbody th {{ font-weight: 500; }}
tbody tr:hover {{ background: var(--tint); }}
.number {{ text-align: right; white-space: nowrap; }}
td strong, th strong {{ font-weight: 700; background: var(--tint);
  box-shadow: 0 0 0 0.25rem var(--tint); border-radius: 0.1rem; }}
figure {{ margin: 1.25rem 0; }}
figcaption {{ max-width: 44rem; color: var(--faint); font-size: 0.92rem;
  margin-top: 0.5rem; }}
img {{ display: block; max-width: 100%; height: auto; background: white;
  border-radius: 0.25rem; }}
.coarse {{ image-rendering: pixelated; }}
.strip {{ list-style: none; display: flex; flex-wrap: wrap; gap: 0.9rem; margin: 0;
  padding: 0; }}
.strip li {{ max-width: calc(50% - 0.45rem); font-size: 0.88rem; }}
.strip span {{ display: block; color: var(--faint); }}
details {{ margin: 0.75rem 0; }}
summary {{ cursor: pointer; }}
pre {{ overflow-x: auto; max-height: 36rem; padding: 0.9rem; font-size: 0.85rem;
  line-height: 1.45; background: var(--tint); border-radius: 0.25rem;
  font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }}
@media print {{ .scroll, pre {{ overflow: visible; max-height: none; }} }}
"""
