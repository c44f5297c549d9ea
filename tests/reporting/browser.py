"""A page as a browser shows it, with the network blocked."""

import json
import re
import shutil
import subprocess
from html import escape, unescape

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
FLAGS = (
    '--headless=new',
    '--no-sandbox',  # tests may run as root
    '--disable-gpu',
    '--hide-scrollbars',
    '--proxy-server=127.0.0.1:9',  # nobody listens there
    '--host-resolver-rules=MAP * ~NOTFOUND',
)
# The page is shown unchanged in a frame; its neighbour looks inside.
PROBE = """<!DOCTYPE html><html><body>
<iframe width="{width}" height="800" srcdoc="{page}"></iframe><pre id="seen"></pre>
<script>
addEventListener('load', () => {{
  const inside = document.querySelector('iframe').contentDocument;
  const shown = item => item.getClientRects().length > 0;
  const seen = {{
    images: [...inside.images].map(image => ({{
      alt: image.alt, width: image.naturalWidth, height: image.naturalHeight,
      shown: shown(image)}})),
    cells: [...inside.querySelectorAll('th, td')].filter(shown)
      .map(cell => cell.innerText),
    text: inside.body.innerText,
    pageWidth: inside.documentElement.scrollWidth,
    frameWidth: inside.documentElement.clientWidth,
    background: getComputedStyle(inside.body).backgroundColor,
    color: getComputedStyle(inside.body).color,
  }};
  document.getElementById('seen').textContent = JSON.stringify(seen);
}});
</script></body></html>"""


def find_browser():
    """Return the path of a browser, or skip the test."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f'none of {", ".join(NAMES)} is installed')
    return path


def chromium(folder, target, *flags):
    """Run the browser on a file and return what it printed."""
    process = subprocess.run(
        [
            *(find_browser(), *FLAGS, f'--user-data-dir={folder / "profile"}'),
            *(*flags, target.resolve().as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def look(page, folder, width=1200, dark=False):
    """Return what a browser made of a page: images, cells, text, widths, colours.

    Args:
        page: The page's HTML.
        folder: For the browser's files.
        width: Of the page in px.
        dark: Whether the reader prefers dark pages.
    """
    probe = folder / 'probe.html'
    probe.write_text(PROBE.format(width=width, page=escape(page)), encoding='utf-8')
    scheme = f'--blink-settings=preferredColorScheme={0 if dark else 1}'
    dom = chromium(folder, probe, scheme, '--dump-dom')
    return json.loads(unescape(re.search(r'<pre id="seen">(.+?)</pre>', dom, re.S)[1]))


def screenshot(path, folder, width=1200, height=1200):
    """Return the path of a PNG of a page's file."""
    picture = folder / 'screenshot.png'
    flags = (f'--window-size={width},{height}', f'--screenshot={picture}')
    chromium(folder, path, *flags)
    return picture
