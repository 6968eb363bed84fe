"""The remaining time: by kinds of steps, at the speed of this run, within a factor of two after a third of the work."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opselect.bench.runtime.forecast import (
    Epochs,
    Forecast,
    Kind,
    Remaining,
    Training,
    epochs_file,
    read_epochs,
    write_epochs,
)

SLOW, QUICK = Kind("trials", "darts-pt"), Kind("trials", "random")
SUPERNETS = Kind("supernets", "darts")


class Clock:
    """Seconds that only pass when a test lets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The present time."""
        return self.now


@given(
    costs=st.lists(st.floats(0.5, 100.0), min_size=1, max_size=5),
    counts=st.lists(st.integers(1, 9), min_size=5, max_size=5),
    speed=st.floats(0.2, 5.0),
)
def test_after_a_third_of_the_work_the_remaining_time_is_right_where_kinds_are_known(
    costs: list[float], counts: list[int], speed: float
) -> None:
    """Earlier runs were on another machine, `speed` times as fast, and slow kinds come first."""
    clock = Clock()
    kinds = [Kind("trials", str(number)) for number in range(len(costs))]
    past = {kind: [cost / speed] for kind, cost in zip(kinds, costs, strict=True)}
    forecast = Forecast(dict(zip(kinds, counts, strict=False)), past, 1, clock=clock)
    steps = [(kind, cost) for kind, cost, count in zip(kinds, costs, counts, strict=False) for _ in range(count)]
    steps.sort(key=lambda step: -step[1])
    left = total = sum(cost for _, cost in steps)
    for kind, cost in steps:
        clock.now += cost
        left -= cost
        forecast.finish(kind, cost)
        remaining = forecast.remaining()
        if left < 2 / 3 * total and left > 1e-6:
            assert remaining is not None
            assert left / 2 <= remaining.seconds <= 2 * left


def test_without_earlier_runs_the_remaining_time_is_at_least_that_of_the_known_kinds() -> None:
    forecast = Forecast({SLOW: 3, QUICK: 3}, {}, 1, clock=Clock())
    assert forecast.remaining() is None
    forecast.finish(SLOW, 10.0)
    assert forecast.remaining() == Remaining(20.0, is_least=True)
    forecast.finish(QUICK, 1.0)
    assert forecast.remaining() == Remaining(22.0, is_least=False)


def test_time_passes_between_two_steps_and_a_step_that_takes_longer_is_nearly_done() -> None:
    clock = Clock()
    forecast = Forecast({SLOW: 2}, {SLOW: [10.0]}, 1, clock=clock)
    assert forecast.remaining() == Remaining(20.0, False)
    clock.now = 15.0
    assert forecast.remaining() == Remaining(5.0, False)
    clock.now = 1000.0
    assert forecast.remaining() == Remaining(1.0, False)


def test_workers_share_the_work_as_long_as_there_is_enough_of_it() -> None:
    assert Forecast({SLOW: 4}, {SLOW: [10.0]}, 2, clock=Clock()).remaining() == Remaining(20.0, False)
    assert Forecast({SLOW: 1}, {SLOW: [10.0]}, 8, clock=Clock()).remaining() == Remaining(10.0, False)


def test_a_failed_step_is_finished_and_says_nothing_about_time() -> None:
    forecast = Forecast({SLOW: 2}, {SLOW: [10.0]}, 1, clock=Clock())
    forecast.finish(SLOW, None)
    assert forecast.remaining() == Remaining(10.0, False)


def test_fewer_steps_than_expected_are_learnt_when_their_number_is_known() -> None:
    networks = Kind("networks", "")
    forecast = Forecast(
        {networks: 28, SLOW: 1, QUICK: 1}, {kind: [10.0] for kind in (networks, SLOW, QUICK)}, clock=Clock()
    )
    forecast.limit("networks", 3)
    # Which of several kinds is finished only the steps themselves say.
    forecast.limit("trials", 0)
    assert forecast.remaining() == Remaining(50.0, False)
    forecast.limit("networks", 9)
    assert forecast.remaining() == Remaining(50.0, False)


def test_nothing_remains_when_all_is_finished() -> None:
    assert Forecast({}, {}, 1, clock=Clock()).remaining() == Remaining(0.0, False)


def test_epochs_of_running_trainings_count_from_the_first_one_on(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.epochs" for number in range(3)]
    forecast = Forecast({SUPERNETS: 3}, {}, 1, [Training(SUPERNETS, file, 60) for file in files], clock=Clock())
    assert forecast.epochs("supernets") == (0, 180)
    assert forecast.epochs("trials") is None
    assert forecast.remaining() is None
    write_epochs(files[0], 15, 30.0)
    assert forecast.epochs("supernets") == (15, 180)
    # Two seconds an epoch, and 165 epochs are left.
    assert forecast.remaining() == Remaining(330.0, False)
    files[0].unlink()
    forecast.finish(SUPERNETS, 120.0)
    assert forecast.epochs("supernets") == (60, 180)
    write_epochs(files[1], 60, 120.0)
    assert forecast.epochs("supernets") == (120, 180)


def test_a_kind_that_has_not_begun_is_expected_at_the_speed_of_the_running_one(tmp_path: Path) -> None:
    file = tmp_path / "0.epochs"
    forecast = Forecast(
        {SUPERNETS: 1, SLOW: 1}, {SUPERNETS: [60.0], SLOW: [40.0]}, 1, [Training(SUPERNETS, file, 60)], clock=Clock()
    )
    write_epochs(file, 30, 90.0)  # three times slower than before
    assert forecast.remaining() == Remaining(90.0 + 120.0, False)


@pytest.mark.parametrize("content", ["", "12", "12 ", "x y", "-1 2.0", "1 nan", "1 inf", "1 2 3", "\x00"])
def test_a_file_that_is_half_written_or_damaged_says_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.epochs"
    path.write_text(content)
    assert read_epochs(path) is None
    assert read_epochs(tmp_path / "absent.epochs") is None


def test_a_written_number_of_epochs_is_read_again_and_a_full_disk_is_no_error(tmp_path: Path) -> None:
    path = epochs_file(tmp_path / "supernet.checkpoint")
    write_epochs(path, 7, 12.5)
    assert path.name == "supernet.epochs"
    assert read_epochs(path) == Epochs(7, 12.5)
    write_epochs(tmp_path / "no" / "folder.epochs", 1, 1.0)
    assert list(tmp_path.iterdir()) == [path]
