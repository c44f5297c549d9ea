"""What does the computing, in a few words."""

import platform
import re
from pathlib import Path

import torch


def machine() -> str:
    """Name what does the computing."""
    if torch.cuda.is_available():
        return f'{torch.cuda.get_device_name()}, torch {torch.__version__}'
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists() and (named := re.search('model name.*: (.+)', info.read_text())):
        name = named[1].strip()
    threads = torch.get_num_threads()
    return f'{name}, {threads} threads, torch {torch.__version__}'
