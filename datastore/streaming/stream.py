"""`ds.stream`: the batches of versioned data, for training."""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from math import gcd
from typing import Any, Literal

import msgspec
from msgspec import Struct

from datastore.errors import ValidationError
from datastore.ranks import Rank
from datastore.streaming.assembling import As, Decode, form_of
from datastore.streaming.loading import batches
from datastore.streaming.order import Order
from datastore.streaming.planning import Plan, lanes_for
from datastore.streaming.ranks import Consumer, current_worker
from datastore.streaming.state import FORMAT, State, read_state, refuse_other
from datastore.urls import DatasetURL

__all__ = ["Settings", "Stream"]


class Settings(Struct, frozen=True, kw_only=True):
    """What the user wants of a stream; the arguments of `ds.stream`."""

    columns: Sequence[str] | None
    seed: int | None
    batch_size: int
    epochs: int
    window: int
    drop_last: bool
    as_: As | None
    decode: Decode | Literal["pil"] | None

    def check(self) -> None:
        """Raise `ValidationError` for what can be no number of something."""
        for name, least in (("batch_size", 1), ("epochs", 1), ("window", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValidationError(f"{name}={value!r}", hint=f"a whole number, at least {least}")
        if self.seed is not None and type(self.seed) is not int:
            raise ValidationError(f"shuffle={self.seed!r} is no seed", hint="a whole number, or None for no shuffle")


class Stream:
    """The batches of some data, in an order that depends on nothing but commit, seed and epoch.

    Iterating gives this rank's batches, from where the stream is (its begin, or a state that was loaded) to the end of
    the last epoch; iterating again gives the same once more. A handle: it pickles, and may be used after a fork.
    `ds.stream` makes it.

    Args:
        plan: What to read.
        settings: How.
        rank: Which of several processes this is.
        start: Batches that were taken before, of all epochs and ranks.
    """

    def __init__(self, plan: Plan, settings: Settings, rank: Rank, *, start: int = 0) -> None:
        self._plan = plan
        self._settings = settings
        self._rank = rank
        self._start = start
        self._steps = 0
        self._form = form_of(settings.as_, settings.decode, tabular=plan.format.tabular)
        lanes, units = (1, 1) if settings.seed is None else lanes_for(plan.units, settings.window)
        self._order = Order(
            [unit.rows for unit in plan.units],
            batch_size=settings.batch_size,
            seed=settings.seed,
            lanes=lanes,
            units=units,
            drop_last=settings.drop_last,
        )
        if not self._order.batches:
            raise ValidationError(
                f"{plan.rows} rows make no batch of {settings.batch_size}", hint="a smaller batch_size, or no drop_last"
            )

    @property
    def url(self) -> DatasetURL:
        """What is read: with the commit, if it has versions."""
        return self._plan.source.url

    @property
    def rows(self) -> int:
        """Rows of an epoch, over all ranks."""
        return self._plan.rows

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the last batch that was given out; of the first one before that."""
        last = self._start + (self._steps - 1) * self._rank.of + self._rank.number if self._steps else self._start
        return last // self._order.batches

    def __len__(self) -> int:
        """Batches that this rank gets, from where the stream is."""
        consumer = Consumer.of(self._rank)
        return len(range(self._start + consumer.first, self._end, consumer.step))

    def __iter__(self) -> Iterator[Any]:
        return self.worker(*current_worker())

    def worker(self, number: int, of: int) -> Generator[Any]:
        """Yield the batches of one of several workers of this rank, that take turns.

        Workers of a torch DataLoader are told apart by iterating; this is for others.

        Args:
            number: Which one, from 0.
            of: How many there are. What they take is not counted here: see `state_dict`.
        """
        consumer = Consumer.of(self._rank, worker=number, workers=of)
        self._steps = 0
        wanted = (
            divmod(place, self._order.batches)
            for place in range(self._start + consumer.first, self._end, consumer.step)
        )
        lanes = self._order.lanes // gcd(consumer.step, self._order.lanes)
        limit = self._settings.window * lanes // self._order.lanes
        found = batches(self._plan, self._order, self._form, wanted, lanes=lanes, limit=limit)
        try:
            for _, _, batch in found:
                if of == 1:
                    self._steps += 1
                yield batch
        finally:
            found.close()

    def state_dict(self, steps: int | None = None) -> dict[str, Any]:
        """Return where the stream is, as a dict for JSON of less than 4 KB.

        A batch counts as taken when it is given out.

        Args:
            steps: Batches that this rank has taken since the stream began, or was resumed. Needed where workers of a
                DataLoader read them: only who gets their batches knows how many came.
        """
        taken = self._steps if steps is None else steps
        if taken < 0:
            raise ValidationError(f"steps={steps}", hint="as many batches as this rank has taken")
        return msgspec.to_builtins(self._state(min(self._start + taken * self._rank.of, self._total)))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, also with other numbers of ranks and workers.

        Raises:
            IntegrityError: The state is one of other data, or of another order; says what differs.
            ValidationError: It is no state.
        """
        read = read_state(state)
        refuse_other(read, self._state(0))
        if not (0 <= read.batch < self._order.batches and read.epoch >= 0):
            raise ValidationError(f"the state's batch {read.batch} is none of an epoch", hint="it was changed by hand")
        self._start = read.epoch * self._order.batches + read.batch
        self._steps = 0

    def torch(self) -> Any:
        """Return this as a `torch.utils.data.IterableDataset`, for a DataLoader with `batch_size=None`.

        Raises:
            UnsupportedOperation: torch is not installed.
        """
        from datastore.streaming.adapter import dataset_of

        return dataset_of(self)

    @property
    def _total(self) -> int:
        return self._settings.epochs * self._order.batches

    @property
    def _end(self) -> int:
        left = max(self._total - self._start, 0)
        return self._start + (left // self._rank.of * self._rank.of if self._settings.drop_last else left)

    def _state(self, place: int) -> State:
        settings = self._settings
        epoch, batch = divmod(place, self._order.batches)
        names = hashlib.sha256(msgspec.json.encode(settings.columns)).hexdigest()
        return State(
            format=FORMAT,
            url=str(self.url),
            commit=self.url.ref or "",
            data=self._plan.data,
            columns=names,
            seed=settings.seed,
            batch_size=settings.batch_size,
            window=settings.window,
            drop_last=settings.drop_last,
            epoch=epoch,
            batch=batch,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._plan, self._settings, self._rank, self._start)

    def __repr__(self) -> str:
        rank = "" if self._rank.of == 1 else f", rank {self._rank.number} of {self._rank.of}"
        return f"Stream({str(self.url)!r}: {self.rows:,} rows, batches of {self._settings.batch_size}{rank})"


def _rebuild(plan: Plan, settings: Settings, rank: Rank, start: int) -> Stream:
    return Stream(plan, settings, rank, start=start)
