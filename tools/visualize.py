"""Look at attention, masks, reconstructions: python tools/visualize.py --help."""

from mmattmask.cli.visualize import main

if __name__ == '__main__':
    print(main())
