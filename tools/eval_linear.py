"""Linear probe of frozen features: python tools/eval_linear.py --help."""

from mmattmask.cli.eval_linear import main

if __name__ == '__main__':
    print(main(), end='')
