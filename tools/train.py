"""Train a config: python tools/train.py CONFIG, the same as mmattmask train CONFIG."""

import sys

from mmattmask.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
