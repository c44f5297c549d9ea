"""What does the computing, in a few words."""

import platform
from pathlib import Path

import torch


def machine() -> str:
    """Name what does the computing."""
    if torch.cuda.is_available():
        return f'{torch.cuda.get_device_name()}, torch {torch.__version__}'
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        lines = info.read_text().splitlines()
        names = [
            line.split(':', 1)[1] for line in lines if line.startswith('model name')
        ]
        name = names[0].strip() if names else name
    threads = torch.get_num_threads()
    return f'{name}, {threads} threads, torch {torch.__version__}'
