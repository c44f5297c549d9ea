"""Images for all runs, and a run for all who only look at what it left."""

import pytest

from .toy_run import toy_config, train, write_images


@pytest.fixture(scope='session')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture(scope='session')
def whole(tmp_path_factory, data_root):
    """The runner of an uninterrupted run of 5 epochs, refreshed before 1 and 3."""
    cfg = toy_config(tmp_path_factory.mktemp('whole'), data_root)
    cfg.custom_hooks.append(dict(type='WatchHook'))
    return train(cfg)
