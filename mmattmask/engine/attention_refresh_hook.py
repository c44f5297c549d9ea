"""Renew the bank of attention maps during training."""

import dataclasses
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, broadcast_object_list, get_rank
from mmengine.hooks import Hook
from mmengine.utils import to_2tuple
from mmpretrain.utils import get_ori_model
from torch import Tensor

from mmattmask.datasets.concat import bases, fingerprint
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.bank_sharing import (
    exchange_rows,
    node_leaders,
    succeeded_everywhere,
    together,
)
from mmattmask.engine.geometry_recording import record_in_log
from mmattmask.engine.image_pass import check_images, evaluating, image_pass
from mmattmask.engine.schedule import Schedule
from mmattmask.evaluation.score_content import ScoreContent
from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.registry import HOOKS
from mmattmask.scorers import AttentionBank, BankHeader, BankWriter, CachedMaps
from mmattmask.scorers.self_attention import image_size_of

NUM_LOOKED_AT = 1024  # maps, for only_content
BANK_KEY = 'mmattmask/attention_bank'


@HOOKS.register_module()
class AttentionRefreshHook(Hook):
    """Let the model look at every training image and keep its attention maps.

    Whole images, squashed to the input size, go through the model in evaluation mode;
    the maps are written to ``<work_dir>/attention_bank/epoch_<n>.bank`` and the model's
    scorer (``CachedAttention``, say) uses them from then on. Stock crops and the stock
    packing of the training pipeline are exchanged for ours, which record where a view
    comes from. The random stream of training is not touched. A resumed run continues
    with the bank its checkpoint was trained with, or makes a new one and says why.

    Args:
        begin: Epochs (or iterations) of random masking before the first refresh.
        interval: Epochs (or iterations) between refreshes; None for a single one, as a
            frozen teacher needs.
        by_epoch: Count epochs, or training iterations (micro-batches under gradient
            accumulation).
        input_size: Height and width in px of the images for this pass. Defaults to the
            model's input size; a smaller one is cheaper and gives coarser maps.
        rolling: After the first refresh renew 1/interval of the bank before every epoch
            instead of all of it at once.
        batch_size: Images per step and rank. Defaults to the training batch size.
        num_workers: Loader processes per rank. Defaults to the training loader's.
        pipeline: Transforms that load and resize an image, as config dicts. Defaults to
            the training pipeline without its random steps, with one bilinear resize
            for its crops and flips.
        max_unreadable: More unreadable images than this per rank stop the run, and more
            images whose maps are not finite; fewer are named in the log and get no
            attention.
        only_content: Guidance starts with the first refresh whose maps follow the
            content of images (``evaluation.score_content``: position share of at most
            a half); until then masks are the warm-up policy's. Later refreshes are used
            whatever they are.
        max_keep_banks: Banks kept on disk; two allow resuming from a checkpoint older
            than the newest refresh.

    Raises:
        ValueError: If an option is out of range; before training, if the schedule
            never comes, or model or pipeline do not fit.

    Source: AMT, section 3 and guijiejie/AMT mae-AMT/main_pretrain.py.
    """

    priority = 'ABOVE_NORMAL'
    epoch_arguments = ('begin', 'interval')

    def __init__(
        self,
        begin: int = 40,
        interval: int | None = 40,
        by_epoch: bool = True,
        input_size: int | Sequence[int] | None = None,
        rolling: bool = False,
        batch_size: int | None = None,
        num_workers: int | None = None,
        pipeline: Sequence[dict[str, Any]] | None = None,
        max_unreadable: int = 10,
        max_keep_banks: int = 2,
        only_content: bool = False,
    ) -> None:
        # Differs from AMT: the released code refreshes after epoch `begin` (from 0), so
        # it masks at random for one epoch more than the paper's number says.
        self.schedule = Schedule(begin, interval, by_epoch)
        if rolling and (not by_epoch or interval is None):
            raise ValueError('rolling=True needs by_epoch=True and an interval')
        if rolling and only_content:
            raise ValueError(
                'rolling=True renews maps that are in use, so only_content=True, which '
                'may leave them unused, does not go with it'
            )
        self.only_content = only_content
        if max_keep_banks < 1 or max_unreadable < 0:
            raise ValueError(
                f'max_keep_banks ({max_keep_banks}) must be at least 1 and '
                f'max_unreadable ({max_unreadable}) at least 0'
            )
        self.input_size = None if input_size is None else tuple(to_2tuple(input_size))
        self.rolling = rolling
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.pipeline = pipeline
        self.max_unreadable = max_unreadable
        self.max_keep_banks = max_keep_banks
        self._seconds = 0.0

    def before_train(self, runner: Any) -> None:
        """Check model, data and schedule; find the bank of a resumed run."""
        self._start = time.perf_counter()
        self.check_model(runner)
        self.check_data(runner)
        if get_rank() == 0:  # what killed runs have left
            for path in self._folder(runner).glob('*.tmp'):
                path.unlink()
        self._leaders = node_leaders()
        now = self.schedule.now(runner)
        if now <= self.schedule.begin or self._is_due(now) or self._restore(runner):
            return
        runner.logger.warning(
            'attention refresh: making a new bank from the weights at '
            f'{self.schedule.unit} {now}; training goes on, but not bit for bit'
        )
        self._refresh(runner, now)

    def check_model(self, runner: Any) -> None:
        """Raise ValueError if the schedule never comes or the model keeps no maps."""
        schedule = self.schedule
        schedule.check(runner, 'AttentionRefreshHook')
        total = runner.max_epochs if schedule.by_epoch else runner.max_iters
        if schedule.begin >= total:
            raise ValueError(
                f'AttentionRefreshHook begins after {schedule.begin} {schedule.unit}s, '
                f'the run has {total}: it would never act; set begin to less than '
                f'{total}'
            )
        self._model = get_ori_model(runner.model)
        guidance = guidance_of(self._model)
        scorer = None if guidance is None else guidance.scorer
        if not isinstance(scorer, CachedMaps) or not scorer.cached:
            raise ValueError(
                'AttentionRefreshHook needs a guided model whose scorer keeps maps, '
                f'got {type(self._model).__name__} with '
                f'{"no scorer" if scorer is None else type(scorer).__name__}: '
                "scorer=dict(type='mmattmask.CachedAttention'), or remove the hook"
            )
        self._scorer = scorer
        scorer.check(self._model.backbone)

    def check_data(self, runner: Any) -> None:
        """Raise ValueError if images or views cannot be measured as in training."""
        datasets = bases(runner.train_dataloader.dataset)
        record_in_log(runner, datasets)
        size = self.input_size or image_size_of(self._model.backbone)
        self._images = WholeImages(datasets, size, self.pipeline)
        self._try_pass(runner, check_images(runner, self._images))
        number, share = len(self._images), self.schedule.interval
        if self.rolling and number < (share or 0):
            raise ValueError(
                f'rolling=True renews 1/{share} of the maps before every epoch, and '
                f'there are {number} images: set interval to less'
            )
        self._header = BankHeader(
            len(self._images),
            self._scorer.map_grid(self._model.backbone, size),
            self._scorer.storage,
            fingerprint(datasets),
            source='',
        )

    def _try_pass(self, runner: Any, images: Tensor) -> None:
        """Raise ValueError unless images of this size can be measured."""
        device = next(self._model.parameters()).device
        try:
            with evaluating(runner) as model:
                attention_maps(model, images.to(device))
        except (RuntimeError, AssertionError, IndexError) as error:
            # `check` knows shapes only; where torch does not, nothing is said of a run
            if device.type == 'meta' and 'meta' in str(error).lower():
                return
            height, width = self._images.input_size
            raise ValueError(
                f'{type(self._scorer).__name__} cannot measure images of {height} x '
                f'{width} px: {error}: set input_size of AttentionRefreshHook to '
                f'{image_size_of(self._model.backbone)}'
            ) from error

    def before_train_epoch(self, runner: Any) -> None:
        """Refresh by epoch."""
        if not self.schedule.by_epoch:
            return
        now, step = self.schedule.now(runner), self.schedule.interval
        if self._is_due(now):
            self._refresh(runner, now)
        elif self.rolling and now > self.schedule.begin:
            assert step is not None
            first = (now - self.schedule.begin) % step
            self._refresh(runner, now, range(first, len(self._images), step))

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Refresh by iteration."""
        if not self.schedule.by_epoch and self._is_due(self.schedule.now(runner)):
            self._refresh(runner, self.schedule.now(runner))

    @property
    def time_share(self) -> float:
        """Share of the training's duration so far that refreshes took."""
        return self._seconds / (time.perf_counter() - self._start)

    def _is_due(self, now: int) -> bool:
        """Return whether the whole bank is renewed now."""
        if self.rolling:
            return now == self.schedule.begin
        return self.schedule.is_due(now)

    def _path(self, runner: Any, name: str) -> Path:
        leader = self._leaders[get_rank()]
        node = f'.node{leader}' if leader else ''
        return self._folder(runner) / f'{name}{node}.bank'

    def _folder(self, runner: Any) -> Path:
        return Path(runner.work_dir) / 'attention_bank'

    def _restore(self, runner: Any) -> bool:
        """Open the bank that the resumed checkpoint was trained with."""
        saved = runner.message_hub.get_info(BANK_KEY, None)
        reason = ''
        try:
            if saved is None:
                raise ValueError('the checkpoint names no attention bank')
            bank = AttentionBank(self._path(runner, saved['name']))
            self._check_belongs(bank, saved['checksum'])
            made_by = saved.get('made_by', self._scorer.made_by)
            if made_by != self._scorer.made_by:
                raise ValueError(
                    f'{bank.path} was made by {made_by}, this run has '
                    f'{self._scorer.made_by}'
                )
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        if not succeeded_everywhere(not reason):
            runner.logger.warning(
                'attention refresh: the saved bank cannot be used: '
                f'{reason or "another rank cannot read it"}'
            )
            return False
        if saved.get('in_use', True) or not self.only_content:
            self._scorer.bank = bank
        used = 'going on with' if self._scorer.bank is bank else 'still not using'
        runner.logger.info(f'attention refresh: {used} {bank.path}')
        return True

    def _check_belongs(self, bank: AttentionBank, checksum: int) -> None:
        """Raise ValueError unless the bank is this run's and this checkpoint's."""
        for name in ('fingerprint', 'num_rows', 'grid', 'storage'):
            value, expected = getattr(bank.header, name), getattr(self._header, name)
            if value != expected:
                raise ValueError(
                    f'{bank.path} is of other data: its {name} is {value}, this run '
                    f'needs {expected}'
                )
        if bank.header.checksum != checksum:
            raise ValueError(
                f'{bank.path} is stale: not the bank the checkpoint was trained with'
            )

    def _refresh(
        self, runner: Any, now: int, rows: Sequence[int] | None = None
    ) -> None:
        """Make a bank, all of it or only ``rows`` anew, and give it to the scorer."""
        start = time.perf_counter()
        scorer, unit = self._scorer, self.schedule.unit
        name = f'{unit}_{now}'
        path = self._path(runner, name)
        header = dataclasses.replace(self._header, source=f'{unit} {now}')
        is_leader = get_rank() == self._leaders[get_rank()]
        tags = [f'.{uuid.uuid4().hex[:8]}']  # a name no other run has
        broadcast_object_list(tags)
        with together():
            if is_leader:
                previous = scorer.bank if rows is not None else None
                BankWriter(path, header, previous=previous, tag=tags[0])
        with together():
            writer = BankWriter(path, header, create=False, tag=tags[0])
            written = self._write(runner, writer, rows)
        exchange_rows(writer.rows, written, self._leaders)
        barrier()
        with together():
            if is_leader:
                writer.finish()
                self._prune(path)
        bank = AttentionBank(path, verify=False)
        # a run that resumes where a refresh is due has not opened the bank before
        before = runner.message_hub.get_info(BANK_KEY, None) or {}
        in_use = before.get('in_use', bool(before)) or self._may_guide(runner, bank)
        if in_use:
            scorer.bank = bank
        runner.message_hub.update_info(
            BANK_KEY,
            {
                'name': name,
                'checksum': bank.header.checksum,
                'in_use': in_use,
                'made_by': scorer.made_by,
            },
        )
        self._seconds += time.perf_counter() - start
        runner.logger.info(
            f'attention refresh before {unit} {now}: '
            f'{len(rows) if rows is not None else len(bank)} maps of '
            f'{header.grid[0]} x {header.grid[1]} in '
            f'{time.perf_counter() - start:.1f} s; refreshes took '
            f'{self.time_share:.1%} of the time so far; bank '
            f'{header.num_bytes / 2**20:.1f} MiB {header.storage}'
        )

    def _may_guide(self, runner: Any, bank: AttentionBank) -> bool:
        """Whether guidance begins with these maps; all ranks see the same."""
        if not self.only_content:
            return True
        content = ScoreContent.from_maps(bank.sample(NUM_LOOKED_AT))
        begins = 'guidance begins' if content.is_content else 'not used yet'
        runner.logger.info(f'attention refresh: {begins}, {content.sentence()}')
        return content.is_content

    def _write(
        self, runner: Any, writer: BankWriter, rows: Sequence[int] | None
    ) -> np.ndarray:
        """Run this rank's share of the images; return the ids written."""
        written, without = [], []
        with evaluating(runner) as model:
            for batch in image_pass(
                runner,
                self._images,
                self.batch_size,
                self.num_workers,
                'attention refresh',
                rows,
                self.max_unreadable,
            ):
                maps = attention_maps(model, batch.inputs).cpu().numpy()
                ids = batch.ids.numpy()
                valid = writer.is_valid(maps)
                without += ids[(ids >= 0) & ~valid].tolist()
                if len(without) > self.max_unreadable:
                    writer.write(ids[~valid], maps[~valid])  # which says what is wrong
                keep = (ids >= 0) & valid
                writer.write(ids[keep], maps[keep])
                written.append(ids[keep])
        if without:
            names = [self._images.info(i)[1].get('img_path', i) for i in without]
            runner.logger.warning(
                f'attention refresh: no usable map (inf, NaN or too large) of '
                f'{len(without)} images, which get no new one: {names}'
            )
        return np.concatenate(written)

    def _prune(self, newest: Path) -> None:
        """Remove this node's oldest banks."""

        def number(path: Path) -> int:
            """Return 40 of ``epoch_40.bank``: time stamps go back with the clock."""
            digits = path.name.partition('.')[0].rpartition('_')[2]
            return int(digits) if digits.isdecimal() else -1

        banks = [p for p in newest.parent.iterdir() if p.suffixes == newest.suffixes]
        banks.sort(key=lambda path: (path == newest, number(path)))
        for path in banks[: -self.max_keep_banks]:
            path.unlink()
