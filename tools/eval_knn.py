"""k-NN accuracy of frozen features: python tools/eval_knn.py --help."""

from mmattmask.cli.eval_knn import main

if __name__ == '__main__':
    print(main(), end='')
