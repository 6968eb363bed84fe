"""Progress on the error stream: bars on a terminal, and elsewhere a line now and then."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opselect.bench.runtime.forecast import Forecast, Remaining

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LINE_EVERY = 10.0
"""Seconds between two lines where the error stream is no terminal."""

MOST_BARS = 4
"""How many kinds of work have a bar: in a study with many experiments, the last ones."""


class Display:
    """What is shown of the progress of a command; called with a kind of work and its finished and all items.

    Args:
        beginning: What the command does before the work begins.
        clock: Seconds that never go back.

    Attributes:
        forecast: Source of the remaining time and of the epochs within trainings; without one, the remaining time is
            by the mean of the finished items.
        on_begin: Called once, when the work begins.
        has_begun: Whether it has begun.
    """

    def __init__(self, beginning: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.forecast: Forecast | None = None
        self.on_begin: Callable[[], None] = lambda: None
        self.has_begun = threading.Event()
        self._beginning = beginning
        self._clock = clock
        self._started = clock()
        self._counts: dict[str, tuple[int, int]] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that of all items of a kind of work so many are finished."""
        # The kind that was reported last is the present one.
        self._counts.pop(what, None)
        self._counts[what] = done, total
        self._last = self._clock()
        self._first.setdefault(what, (self._last, done))
        if self.forecast is not None:
            self.forecast.limit(what, total - done)
        if not self.has_begun.is_set():
            self.on_begin()
            self.has_begun.set()

    def line(self) -> str:
        """The present kind of work in one line, with the elapsed and the remaining time."""
        what = list(self._counts)[-1]
        return f"{what}: {self._count(what)}; {self.times()}"

    def times(self) -> str:
        """The elapsed and the remaining time, for example `1:23 elapsed, about 4:10 remaining`."""
        text = f"{clock_time(self._clock() - self._started)} elapsed"
        remaining = self._remaining()
        if remaining is None or remaining.seconds < 1:
            return text
        return f"{text}, {'at least' if remaining.is_least else 'about'} {clock_time(remaining.seconds)} remaining"

    def bars(self) -> "RenderableType":
        """A bar for each kind of work, and the times below; before the work begins, what the command does."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self._counts:
            return Text(f"{self._beginning}, {self.times()}", "dim")
        grid = Table.grid(padding=(0, 1))
        for what in sorted(self._counts, key=lambda what: self._first[what][0])[-MOST_BARS:]:
            bar = ProgressBar(1.0, self._share(what), width=24)
            grid.add_row(Text(what, no_wrap=True, overflow="ellipsis"), bar, Text(self._count(what), no_wrap=True))
        return Group(grid, Text(self.times(), "dim"))

    def _count(self, what: str) -> str:
        done, total = self._counts[what]
        text = f"{done:,} of {total:,}"
        epochs = self.forecast.epochs(what) if self.forecast else None
        return text if epochs is None or done == total else f"{text}, epoch {epochs[0]:,} of {epochs[1]:,}"

    def _share(self, what: str) -> float:
        done, total = self._counts[what]
        epochs = self.forecast.epochs(what) if self.forecast else None
        if epochs is not None and done < total:
            done, total = epochs
        return done / total if total else 1.0

    def _remaining(self) -> Remaining | None:
        if self.forecast is not None:
            return self.forecast.remaining()
        if not self._counts:
            return None
        what, (done, total) = list(self._counts.items())[-1]
        began, already = self._first[what]
        if done in (already, total):
            return None
        each = (self._last - began) / (done - already)
        return Remaining(max(each * (total - done) - (self._clock() - self._last), each / 20), False)


def clock_time(seconds: float) -> str:
    """A duration as clocks show it.

    Example:
        >>> clock_time(83.0), clock_time(5025.0), clock_time(200000.0)
        ('1:23', '1:23:45', '2 d 7 h')
    """
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


@contextmanager
def progress_display(beginning: str, quiet: bool = False) -> Iterator[Display]:
    """Show the progress of a block on the error stream: bars on a terminal, elsewhere a line every ten seconds.

    Args:
        beginning: What the command does before the work begins, for example `reading digits201`.
        quiet: Whether nothing is shown.
    """
    display = Display(beginning)
    if quiet:
        yield display
        return
    from rich.console import Console

    console = Console(stderr=True)
    with _bars(display, console) if console.is_terminal and not console.is_dumb_terminal else _lines(display):
        yield display


@contextmanager
def _bars(display: Display, console: "Console") -> Iterator[None]:
    from rich.live import Live

    with Live(get_renderable=display.bars, console=console, refresh_per_second=2, transient=True):
        yield
    if display.has_begun.is_set():
        console.print(display.bars())


@contextmanager
def _lines(display: Display) -> Iterator[None]:
    """Print a line when the work begins, one every ten seconds, and a last one if nothing has gone wrong."""
    is_over = threading.Event()

    def print_line() -> None:
        print(display.line(), file=sys.stderr, flush=True)

    def print_lines() -> None:
        display.has_begun.wait()
        while not is_over.wait(LINE_EVERY):
            print_line()

    display.on_begin = print_line
    printing = threading.Thread(target=print_lines, daemon=True)
    printing.start()
    try:
        yield
    finally:
        has_begun = display.has_begun.is_set()
        is_over.set()
        display.has_begun.set()
        printing.join()
    if has_begun:
        print_line()
