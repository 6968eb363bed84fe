"""What is shown of the progress: a line at first, one now and then, one at the end; bars that fit a terminal."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

from opselect.bench.cli import progress
from opselect.bench.cli.progress import Display, progress_display
from opselect.bench.runtime.forecast import Forecast, Kind, Training, write_epochs


class Clock:
    """Seconds that only pass when a test lets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The present time."""
        return self.now


def shown(display: Display, width: int) -> list[str]:
    """The lines of the bars on a terminal of this width."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(display.bars())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_without_a_forecast_the_remaining_time_is_by_the_mean_of_all_steps() -> None:
    clock = Clock()
    display = Display(clock=clock)
    display("cells", 100, 500)
    assert display.line() == "cells: 100 of 500; 0:00 elapsed"
    clock.now = 50.0
    display("cells", 200, 500)
    assert display.line() == "cells: 200 of 500; 0:50 elapsed, about 2:30 remaining"
    # A single slow step is not forgotten, and time goes on meanwhile.
    clock.now = 90.0
    assert display.line() == "cells: 200 of 500; 1:30 elapsed, about 1:50 remaining"
    display("cells", 500, 500)
    assert display.line() == "cells: 500 of 500; 1:30 elapsed"


def test_with_a_forecast_epochs_and_unknown_kinds_are_shown(tmp_path: Path) -> None:
    clock = Clock()
    supernets = Kind("supernets", "darts")
    display = Display(clock=clock)
    display.forecast = Forecast(
        {supernets: 2, Kind("trials", "x"): 5}, {}, 1, [Training(supernets, tmp_path / "a", 50)] * 2, clock
    )
    display("supernets", 0, 2)
    assert display.line() == "supernets: 0 of 2, epoch 0 of 100; 0:00 elapsed"
    write_epochs(tmp_path / "a", 10, 20.0)
    assert display.line() == "supernets: 0 of 2, epoch 20 of 100; 0:00 elapsed, at least 2:40 remaining"


@pytest.mark.parametrize("width", [80, 120])
def test_bars_fit_the_terminal_and_only_the_last_kinds_have_one(width: int) -> None:
    display = Display("reading digits201", Clock())
    assert shown(display, width) == ["reading digits201, 0:00 elapsed"]
    for number in range(6):
        display(f"darts-s{number}-cifar10_subset supernets", 12, 1000)
        display(f"darts-s{number}-cifar10_subset trials", 1000, 1000)
    lines = shown(display, width)
    assert len(lines) == progress.MOST_BARS + 1
    assert lines[-1] == "0:00 elapsed"
    assert "trials" in lines[-2]
    assert all(len(line) <= width for line in lines)
    assert lines[0].endswith("12 of 1,000")


def test_where_there_is_no_terminal_a_first_and_a_last_line_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display("reading") as display:
        for done in range(5):
            display("trials", done, 4)
    output, error = capsys.readouterr()
    assert output == ""
    assert [line.partition(";")[0] for line in error.splitlines()] == ["trials: 0 of 4", "trials: 4 of 4"]


def test_a_line_is_printed_now_and_then_also_while_nothing_is_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.001)
    lines: list[str] = []
    with progress_display("reading") as display:
        display("trials", 0, 4)
        while len(lines) < 4:
            lines += capsys.readouterr().err.splitlines()
    assert {line.partition(";")[0] for line in lines} == {"trials: 0 of 4"}


def test_nothing_is_printed_before_the_work_begins_or_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wrong input"), progress_display("reading"):
        raise ValueError("wrong input")
    with progress_display("reading", quiet=True) as display:
        display("trials", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_the_lines_without_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wrong"), progress_display("reading") as display:
        display("trials", 0, 2)
        display("trials", 1, 2)
        raise ValueError("wrong")
    assert capsys.readouterr().err.startswith("trials: 0 of 2; ")


def test_bars_on_a_terminal_stay_when_the_work_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with progress_display("reading digits201") as display:
        display("trials", 1, 2)
        display("trials", 2, 2)
    error = capsys.readouterr().err
    assert "2 of 2" in error
    assert "elapsed" in error
