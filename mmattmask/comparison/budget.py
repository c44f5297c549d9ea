"""How many epochs a policy gets at an equal budget."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from mmengine.config import Config

from mmattmask.comparison.plan import Entry
from mmattmask.inspection.built_config import BuiltConfig, build_config
from mmattmask.inspection.flops import cost, patch_budget


def tokens_per_image(entry: Entry, cfg: Config) -> float:
    """Return the tokens that the encoder is trained on per image, mean over the run.

    Before the first refresh an attention-guided policy masks at random, often with
    other counts. Refreshes and frozen teachers are not counted: time counts them.
    ValueError for a host whose tokens cannot be counted.
    """
    if entry.encoder_tokens is not None:
        return float(entry.encoder_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of stock layers on torch's meta device
        built = build_config(cfg, str(entry.config), gpus=1)
    if built.model is None or built.guidance is None or built.errors:
        reason = '; '.join(built.errors) or 'the model is not guided'
        raise ValueError(f'run {entry.name}: its tokens cannot be counted: {reason}')
    guidance, counts = built.guidance, []
    for generator in (guidance.warmup_mask_generator, guidance.mask_generator):
        budget = patch_budget(guidance, built.image_size, generator)
        found = cost(built.model, budget)
        if found is None:
            raise ValueError(
                f'run {entry.name}: the tokens of {type(built.model).__name__} cannot '
                'be counted: give encoder_tokens'
            )
        counts.append(found.encoder_tokens)
    random, guided = counts
    if random == guided:
        return float(guided)
    share = _share_without_score(built)
    if share is None:
        raise ValueError(
            f'run {entry.name}: it trains on {random:g} tokens per image before it is '
            f'guided and on {guided:g} then, and nobody knows when that is: refresh '
            'with by_epoch=True and without only_content, or give encoder_tokens'
        )
    return share * random + (1 - share) * guided


def _share_without_score(built: BuiltConfig) -> float | None:
    """Return the share of the run before the first refresh, or None if not known."""
    if built.cached_scorer is None:
        return 0.0
    (hook, *_) = built.hooks_of('AttentionRefreshHook') or [None]
    total, unit = built.total
    if hook is None:
        return 1.0
    if hook.schedule.unit != unit or hook.only_content:
        return None
    return min(1.0, hook.schedule.begin / total)


def epochs_of_equal(cost_of: Callable[[int], float], budget: float, guess: int) -> int:
    """Return the epochs, at least 1, whose growing cost is nearest to a budget.

    ValueError unless both are positive.
    """
    if cost_of(guess) <= 0 or budget <= 0:
        raise ValueError(f'cost {cost_of(guess)} and budget {budget} must be positive')
    epochs = max(1, round(guess * budget / cost_of(guess)))
    while epochs > 1 and cost_of(epochs) > budget:
        epochs -= 1
    while cost_of(epochs + 1) <= budget:
        epochs += 1
    nearer = budget - cost_of(epochs) > cost_of(epochs + 1) - budget
    return epochs + 1 if nearer else epochs


def check_one_machine(rows: Sequence[Mapping], others: Sequence[Mapping]) -> None:
    """Raise ValueError unless rows of the same seeds were timed on the same machine."""
    for row, other in zip(rows, others, strict=True):
        if row['machine'] != other['machine']:
            raise ValueError(
                f'run {row["run"]}, seed {row["seed"]}, took its time on '
                f'{row["machine"]}, {other["run"]} on {other["machine"]}: equal time '
                'needs both from one machine; delete the folder of one of them, or '
                'leave the budget out'
            )


def relative_pace(rows: Sequence[Mapping], others: Sequence[Mapping]) -> float:
    """Return how many times as long as theirs an epoch takes, median over seeds.

    Refreshes and first passes of teachers are included.
    """
    return median(
        row['seconds'] / row['epochs'] * other['epochs'] / other['seconds']
        for row, other in zip(rows, others, strict=True)
    )
