"""What tests of pictures share."""

import pytest

from mmattmask.visualization import panels


@pytest.fixture
def drawn(monkeypatch):
    """The figures that the test draws."""
    figures, render = [], panels.to_array

    def spy(figure, **options):
        figures.append(figure)
        return render(figure, **options)

    monkeypatch.setattr(panels, 'to_array', spy)
    return figures
