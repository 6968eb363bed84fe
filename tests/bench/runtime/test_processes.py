"""Work in processes: one that dies costs its task a try and nobody else anything, and none is left behind.

Tasks are calls without arguments and the function is `operator.call`, since worker processes import both by name.
"""

import importlib
import operator
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.runtime.processes import WorkerDied, in_processes
from opselect.bench.runtime.retries import ALLOWED_DEATHS
from opselect.spaces.errors import MissingData
from opselect.spaces.table import read

KILL = "echo >> {0}; test $(wc -l < {0}) -gt {1} || kill -9 $PPID; echo survived"
"""Kill the worker that runs it so many times, and then be an ordinary task."""


HALF_AN_ANSWER = """
from multiprocessing.connection import Connection
def send_half(self, content):
    import os, signal, struct
    self._send(struct.pack("!i", len(content)))
    os.kill(os.getpid(), signal.SIGKILL)
Connection._send_bytes = send_half
"""
GROWN = """
from joblib.externals.loky import process_executor
process_executor._MEMORY_LEAK_CHECK_DELAY = 0
process_executor._MAX_MEMORY_LEAK_SIZE = -(2**50)
"""
"""Any size of the process is too large from now on, by joblib's measure."""
BLOCKED = """
import operator, signal
from functools import partial
from opselect.bench.runtime.processes import in_processes
blocked_now = partial(signal.pthread_sigmask, signal.SIG_BLOCK, ())
print([signal.SIGINT in blocked for blocked in in_processes(operator.call, [blocked_now] * 2, 2, None)])
"""
CLEANING = """
import time
from pathlib import Path
Path("{}").touch()
try:
    time.sleep(600)
finally:
    Path("{}").touch()
"""

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


def test_a_task_that_is_given_up_after_three_deaths_repeats_none_of_the_seven_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    others = [shell(f"echo {number} >> {log}; sleep 0.1; echo done") for number in range(7)]
    found = list(results(partial(os._exit, 7), *others))
    assert sorted(log.read_text().split()) == [str(number) for number in range(7)]
    assert sorted(found) == [
        "3 worker processes died of it, the last one with exit status 7",
        *["done\n"] * 7,
    ]


def test_a_worker_that_dies_in_the_middle_of_its_answer_costs_its_task_a_try() -> None:
    found = list(results(partial(exec, HALF_AN_ANSWER), partial(abs, -3)))
    assert "3 worker processes died of it, the last one by SIGKILL" in str(found)
    assert 3 in found


def test_a_task_that_a_worker_cannot_read_is_an_error_and_costs_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    (worker,) = results(os.getpid)
    only_here = types.ModuleType("only_here")
    exec("def work(): pass", vars(only_here))
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    with pytest.raises(ModuleNotFoundError, match="only_here"):
        list(results(vars(only_here)["work"]))
    assert list(results(os.getpid)) == [worker]


def test_a_worker_that_has_grown_is_not_replaced() -> None:
    workers = list(in_processes(operator.call, [os.getpid, partial(exec, GROWN), os.getpid, os.getpid], 1, None))
    assert workers == [workers[0], None, workers[0], workers[0]]


def test_workers_begin_with_ctrl_c_blocked_the_first_one_of_a_process_too() -> None:
    assert subprocess.check_output([sys.executable, "-c", BLOCKED], text=True) == "[True, True]\n"


def test_a_worker_finds_the_modules_that_this_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text("def work():\n    return 'found'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(results(importlib.import_module("elsewhere").work)) == ["found"]


def test_a_worker_that_is_stopped_cleans_up(tmp_path: Path) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    running = results(os.getpid, partial(exec, CLEANING.format(started, cleaned)))
    next(running)
    wait_until(started.exists)
    assert not cleaned.exists()
    running.close()
    assert cleaned.exists()


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
