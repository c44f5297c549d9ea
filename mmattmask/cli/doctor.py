"""Say what this installation can do; see mmattmask/inspection/doctor.py."""

import argparse

from mmattmask.inspection.doctor import diagnose

DESCRIPTION = """Say what this installation can do, and the command that mends the rest.
The exit code is 1 if pre-training does not work, else 0."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The doctor takes none."""


def run(args: argparse.Namespace) -> tuple[str, int]:
    """Return what to print, and the exit code."""
    return diagnose()
