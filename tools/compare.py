"""Compare mask policies; see mmattmask/cli/compare.py."""

from mmattmask.cli.compare import main

if __name__ == '__main__':
    print(main())
