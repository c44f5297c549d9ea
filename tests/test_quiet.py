"""Noise of other packages is dropped; a user's lines and loggers are heard."""

import logging
import sys

from mmattmask.quiet import quietly


def test_only_noise_is_dropped(capsys):
    with quietly():
        print('Could not import OneDL')  # noqa: T201
        print('a line of my config')  # noqa: T201
        logger = logging.Logger('made meanwhile')
        logger.addHandler(logging.StreamHandler(sys.stdout))
        print('Could not import OneDL. Skipping OneDL datasets.')  # noqa: T201
        logger.warning('within')
    logger.warning('afterwards')
    assert capsys.readouterr().out == 'a line of my config\nwithin\nafterwards\n'
