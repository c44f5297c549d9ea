"""Train a config: python tools/train.py CONFIG. See --help."""

from mmattmask.cli.train import main

if __name__ == '__main__':
    main()
