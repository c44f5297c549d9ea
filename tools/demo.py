"""Pre-train on photographs on this machine: python tools/demo.py. See --help."""

from pathlib import Path

from mmattmask.demo import main

if __name__ == '__main__':
    print(main(Path(__file__).resolve().parents[1] / 'configs'))
