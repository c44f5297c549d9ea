"""How much of the training is done: the one place that schedules ask."""

from mmengine.logging import MessageHub


def training_progress(by_epoch: bool = True, include_current: bool = False) -> float:
    """Return the share of training that is done, in [0, 1]; 0 outside of a run.

    It is constant within an epoch or, not ``by_epoch``, grows with every iteration, as
    it does in runs of one epoch, which an IterBasedTrainLoop says it is;
    ``include_current`` counts the epoch or iteration in work as done.
    """
    hub = MessageHub.get_current_instance()
    by_epoch = by_epoch and hub.get_info('max_epochs', 0) > 1
    now, end = ('epoch', 'max_epochs') if by_epoch else ('iter', 'max_iters')
    total = hub.get_info(end, 0)
    done = hub.get_info(now, 0) + include_current
    return done / total if total else 0.0
