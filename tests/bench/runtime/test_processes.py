"""Work in processes: one that dies costs its task a try and nobody else anything, and none is left behind.

Tasks are calls without arguments and the function is `operator.call`, since worker processes import both by name.
"""

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.runtime.processes import ALLOWED_DEATHS, WorkerDied, in_processes
from opselect.spaces.errors import MissingData
from opselect.spaces.table import read

KILL = "echo >> {0}; test $(wc -l < {0}) -gt {1} || kill -9 $PPID; echo survived"
"""Kill the worker that runs it so many times, and then be an ordinary task."""


UNSENDABLE = """
class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__("two arguments")
raise Unsendable(1, 2)
"""


def shell(command: str) -> partial[str]:
    return partial(subprocess.check_output, ["sh", "-c", command], text=True)


def results(*tasks: Callable[[], Any], on_failure: Any = lambda task, reason: reason) -> Iterator[Any]:
    return in_processes(operator.call, tasks, 2, on_failure)


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie either."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    latest = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < latest
        time.sleep(0.02)


def test_a_task_whose_worker_dies_is_done_by_another_one_and_all_others_once(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    others = [partial(operator.neg, number) for number in range(20)]
    found = list(results(shell(KILL.format(tries, ALLOWED_DEATHS - 1)), *others))
    assert len(tries.read_text()) == ALLOWED_DEATHS
    assert sorted(found, key=str) == sorted(["survived\n", *(-number for number in range(20))], key=str)


def test_a_task_that_kills_every_worker_is_given_up_with_the_reason_and_the_others_are_done(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    others = [partial(operator.neg, number) for number in range(1, 9)]
    found = list(results(shell(KILL.format(tries, 99)), partial(os._exit, 7), *others))
    assert len(tries.read_text()) == ALLOWED_DEATHS
    assert sorted(each for each in found if isinstance(each, int)) == list(range(-8, 0))
    assert sorted(each for each in found if isinstance(each, str)) == [
        "3 worker processes died of it, the last one by SIGKILL, as happens where the memory does not suffice; fewer "
        "workers need less of it",
        "3 worker processes died of it, the last one with exit status 7",
    ]


def test_without_a_way_to_record_it_a_task_that_kills_every_worker_is_an_error_of_one_sentence() -> None:
    with pytest.raises(WorkerDied, match="a task was given up: 3 worker processes died of it, the last one with exit"):
        list(results(partial(sys.exit, 3), on_failure=None))


def test_errors_of_tasks_keep_their_kind_and_say_where_they_were_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        list(results(partial(int, "seven")))
    assert "in a worker process:\nTraceback" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match="cannot pickle '_io"):
        list(results(partial(open, os.devnull)))
    with pytest.raises(RuntimeError, match="Unsendable: two arguments"):
        list(results(partial(exec, UNSENDABLE)))


def test_workers_are_used_again_and_a_change_of_surroundings_reaches_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = results(os.getpid)
    assert list(results(os.getpid)) == [first]
    monkeypatch.setenv("OPSELECT_DATA", "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert set(results(partial(os.getenv, "OPSELECT_DATA"), os.getcwd)) == {"elsewhere", str(tmp_path)}
    assert not is_running(first)


def test_a_worker_that_died_while_idle_costs_nothing() -> None:
    (first,) = results(os.getpid)
    os.kill(first, signal.SIGKILL)
    (second,) = results(os.getpid)
    assert second != first


def test_whoever_stops_asking_has_no_worker_left_that_is_busy(tmp_path: Path) -> None:
    told = tmp_path / "told"
    asked = results(os.getpid, shell(f"echo $PPID > {told}; exec sleep 600"))
    next(asked)
    wait_until(lambda: told.exists() and told.read_text() != "")
    busy = int(told.read_text())
    asked.close()
    assert not is_running(busy)


PARENT = """
import operator, subprocess, sys
from functools import partial
from opselect.bench.runtime.processes import in_processes
tasks = [partial(subprocess.check_output, ["sh", "-c", f"echo $PPID >> {sys.argv[1]}; exec sleep 600"])] * 2
list(in_processes(operator.call, tasks, 2, None))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_parent(tmp_path: Path, number: signal.Signals) -> None:
    told = tmp_path / "told"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(told)]) as parent:
        wait_until(lambda: told.exists() and len(told.read_text().split()) == 2)
        workers = [int(text) for text in told.read_text().split()]
        assert all(map(is_running, workers))
        parent.send_signal(number)
        parent.wait()
        wait_until(lambda: not any(map(is_running, workers)), seconds=5)


def test_an_error_that_the_user_can_mend_comes_back_as_it_is() -> None:
    with pytest.raises(MissingData, match="table not found at nowhere") as caught:
        list(results(partial(read, Path("nowhere"))))
    assert not hasattr(caught.value, "__notes__")
