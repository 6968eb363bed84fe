"""How far long work has come and how long it will still take, by how long steps of the same kind have taken.

A count of steps says little where some take minutes and others none: of an experiment on digits201, three quarters of
the trials take a tenth of the time. So every step has a kind, the remaining time is the sum over the waiting steps of
what their kind has taken, in this run or else in earlier ones, and the training of a network counts by its epochs. The
process that trains one writes their number to a small file, so that processes of other machines are seen as well, and
one that is killed leaves nothing behind that could be wrong.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of steps that take about as long as each other.

    Attributes:
        what: Kind of work as in a progress bar: `supernets`, `trials` or `networks`.
        label: What distinguishes steps of this work: a label of a selector, or the name of a supernet training.
    """

    what: str
    label: str


class Epochs(NamedTuple):
    """How far a training has come.

    Attributes:
        done: Number of finished epochs.
        seconds: Seconds that they have taken.
    """

    done: int
    seconds: float


def epochs_file(path: Path) -> Path:
    """The file with the finished epochs of the training whose result or checkpoint has this path."""
    return path.with_suffix(".epochs")


def write_epochs(path: Path, done: int, seconds: float) -> None:
    """Write how many epochs are finished. Nothing depends on this file, so a full disk is no error here."""
    with contextlib.suppress(OSError):
        path.write_text(f"{done} {seconds:.3f}\n")


def read_epochs(path: Path) -> Epochs | None:
    """The finished epochs in a file; None where there is no such file, or it is being written."""
    try:
        done, seconds = path.read_text().split()
        found = Epochs(int(done), float(seconds))
    except (OSError, ValueError):
        return None
    return found if found.done >= 0 and 0 <= found.seconds < math.inf else None


class Training(NamedTuple):
    """A training that waits or runs.

    Attributes:
        kind: Its kind.
        path: File with its finished epochs.
        epochs: Number of its epochs.
    """

    kind: Kind
    path: Path
    epochs: int


class Remaining(NamedTuple):
    """The remaining time.

    Attributes:
        seconds: Seconds that steps of known kinds will still take.
        is_least: Whether there are other steps, of which nobody knows how long they take.
    """

    seconds: float
    is_least: bool


def _mean(seconds: Sequence[float]) -> float:
    # Not that of `statistics`, whose import takes a tenth of the time that the help may take.
    return sum(seconds) / len(seconds)


class Forecast:
    """The remaining time of a run.

    Args:
        waiting: Number of steps of each kind that are not finished.
        past: By kind, seconds of steps in earlier runs; nothing where there are none.
        workers: Number of steps that run at a time.
        trainings: The steps that have epochs.
        clock: Seconds that never go back.

    Example:
        >>> slow, quick = Kind("trials", "darts-pt"), Kind("trials", "random")
        >>> forecast = Forecast({slow: 2, quick: 2}, {slow: [60.0], quick: [1.0]}, workers=1, clock=lambda: 0.0)
        >>> forecast.remaining()
        Remaining(seconds=122.0, is_least=False)
        >>> forecast.finish(slow, 30.0)  # twice as fast as in the earlier run
        >>> forecast.remaining()
        Remaining(seconds=31.0, is_least=False)
    """

    def __init__(
        self,
        waiting: Mapping[Kind, int],
        past: Mapping[Kind, Sequence[float]],
        workers: int = 1,
        trainings: Sequence[Training] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = dict(waiting)
        self._past = {kind: _mean(seconds) for kind, seconds in past.items() if seconds}
        self._workers = workers
        self._trainings = tuple(trainings)
        self._clock = clock
        self._taken: dict[Kind, list[float]] = {}
        self._total, self._since = 0.0, clock()

    def finish(self, kind: Kind, seconds: float | None) -> None:
        """Count a step as finished.

        Args:
            kind: Kind of the step.
            seconds: Seconds that it has taken; None where it failed.
        """
        self._waiting[kind] = max(self._waiting.get(kind, 0) - 1, 0)
        if seconds is not None:
            self._taken.setdefault(kind, []).append(seconds)

    def limit(self, what: str, waiting: int) -> None:
        """Learn that no more steps of a kind of work wait, for one whose number was not known before.

        Args:
            what: Kind of work.
            waiting: Number of its steps that are not finished.
        """
        kinds = [kind for kind in self._waiting if kind.what == what]
        if len(kinds) == 1:
            self._waiting[kinds[0]] = min(self._waiting[kinds[0]], waiting)

    def epochs(self, what: str) -> tuple[int, int] | None:
        """Number of finished epochs of a kind of work and of all its epochs; None where it has none."""
        trainings = [training for training in self._trainings if training.kind.what == what]
        if not trainings:
            return None
        done = 0
        for kind in {training.kind for training in trainings}:
            of_kind = [training for training in trainings if training.kind == kind]
            finished = len(of_kind) - self._waiting.get(kind, 0)
            done += finished * of_kind[0].epochs + sum(running.done for running in self._running(kind))
        total = sum(training.epochs for training in trainings)
        return min(done, total), total

    def remaining(self) -> Remaining | None:
        """The remaining time; None where nothing is known about any waiting step."""
        total, is_least, is_known = 0.0, False, False
        waiting = {kind: count for kind, count in self._waiting.items() if count}
        for kind, count in waiting.items():
            seconds = self._seconds_of(kind)
            if seconds is None:
                is_least = True
                continue
            is_known = True
            epochs = next((training.epochs for training in self._trainings if training.kind == kind), 1)
            done = sum(running.done for running in self._running(kind)) / epochs
            total += max(count - done, 0.0) * seconds
        if waiting and not is_known:
            return None
        total /= max(min(self._workers, sum(waiting.values())), 1)
        # Between two steps, or two epochs, time goes on; a step that takes longer than expected is nearly done.
        now = self._clock()
        if total != self._total:
            self._total, self._since = total, now
        return Remaining(max(total - (now - self._since), total / 20), is_least)

    def _running(self, kind: Kind) -> list[Epochs]:
        files = (read_epochs(training.path) for training in self._trainings if training.kind == kind)
        return [found for found in files if found is not None and found.done]

    def _seconds_of(self, kind: Kind) -> float | None:
        """How long a step of a kind takes: here and now, else as in earlier runs at the speed of this one."""
        here = self._seconds_here(kind)
        if here is not None or kind not in self._past:
            return here
        # Of all kinds that are known from here and from before.
        both = [(seconds, self._past[other]) for other in self._past if (seconds := self._seconds_here(other))]
        before = sum(past for _, past in both)
        return self._past[kind] * (sum(seconds for seconds, _ in both) / before if before else 1.0)

    def _seconds_here(self, kind: Kind) -> float | None:
        """How long a step of a kind takes in this run; None before one is finished, or an epoch of one."""
        if kind in self._taken:
            return _mean(self._taken[kind])
        running = self._running(kind)
        if not running:
            return None
        epochs = next(training.epochs for training in self._trainings if training.kind == kind)
        return epochs * sum(found.seconds for found in running) / sum(found.done for found in running)
