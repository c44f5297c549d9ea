"""Banks of given maps."""

import numpy as np

from mmattmask.scorers import AttentionBank, BankHeader, BankWriter


def write_bank(
    path, maps, storage='float16', source='epoch 1', **options
) -> AttentionBank:
    """Write maps (N, h, w) in the order of their ids; ``options`` are the writer's."""
    header = BankHeader(len(maps), maps.shape[1:], storage, 'fingerprint', source)
    writer = BankWriter(path, header, **options)
    writer.write(np.arange(len(maps)), maps)
    writer.finish()
    return AttentionBank(path)
