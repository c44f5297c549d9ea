"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT. See --help."""

from mmattmask.cli.test import main

if __name__ == '__main__':
    main()
