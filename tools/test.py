"""Test: python tools/test.py CONFIG CHECKPOINT, the same as mmattmask test."""

import sys

from mmattmask.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
