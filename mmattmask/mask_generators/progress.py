"""How much of the training is done: the one place that schedules ask."""

from mmengine.logging import MessageHub


def training_progress(by_epoch: bool = True) -> float:
    """Return the share of training that is done, in [0, 1).

    Args:
        by_epoch: Constant within an epoch (``epoch / max_epochs``), or growing with
            every iteration.

    Returns:
        0 outside of a run.
    """
    hub = MessageHub.get_current_instance()
    now, end = ('epoch', 'max_epochs') if by_epoch else ('iter', 'max_iters')
    total = hub.get_info(end, 0)
    return hub.get_info(now, 0) / total if total else 0.0
