"""Colours of all pictures."""

RGB = tuple[int, int, int]

PAPER: RGB = (255, 255, 255)
INK: RGB = (28, 30, 34)
FAINT_INK: RGB = (96, 101, 110)
MASKED: RGB = (140, 164, 200)
THROWN: RGB = (38, 41, 48)
THROWN_LINE: RGB = (98, 103, 114)

# Curves; Okabe and Ito's colours for every reader, without black and pale yellow.
SERIES: tuple[RGB, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)

COLORMAP = 'inferno'  # perceptually uniform


def hexadecimal(color: RGB) -> str:
    """Return a colour as matplotlib and CSS take it, such as ``'#8ca4c8'``."""
    return '#{:02x}{:02x}{:02x}'.format(*color)
