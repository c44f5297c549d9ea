"""Convert a checkpoint: python tools/convert_checkpoint.py --help."""

from mmattmask.cli.convert import main

if __name__ == '__main__':
    print(main(), end='')
