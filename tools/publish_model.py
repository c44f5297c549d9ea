"""Add a finished run to the zoo: python tools/publish_model.py --help."""

from pathlib import Path

from mmattmask.cli.publish import main

if __name__ == '__main__':
    print(main(Path(__file__).resolve().parents[1] / 'docs'), end='')
