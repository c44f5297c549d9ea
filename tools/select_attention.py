"""Choose GPA's block and head: python tools/select_attention.py --help."""

from mmattmask.cli.select_attention import main

if __name__ == '__main__':
    print(main())
