"""Work in processes of this machine: a task whose process dies runs again in another one, and none is left behind.

The standard library's pool and those of joblib end as a whole when one process dies, and cannot tell which task it was.
Here a process has one task at a time, so it is known, and everybody else goes on.
"""

import atexit
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from opselect.spaces.errors import UserError

ALLOWED_DEATHS = 3
"""How many processes may die of one task before it is given up."""

# Seconds: until a process that nobody needs ends by itself, and for one to clean up when it is stopped.
_IDLE = 300.0
_GRACE = 1.0

_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from opselect.bench.runtime.processes import serve; serve(int(sys.argv[2]))"
)

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(UserError, RuntimeError):
    """A task that has cost too many processes; the message says how they ended."""


class _Worker:
    """A process that runs what it is sent, one task after the other.

    Attributes:
        connection: takes tasks, gives answers.
        surroundings: what it has inherited from this process.
    """

    def __init__(self) -> None:
        self.surroundings = _surroundings()
        ours, theirs = socket.socketpair()
        # Ctrl-C on a terminal reaches all its processes. This one decides what becomes of the others, so they begin
        # with that signal blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(list(map(str, sys.path))), str(theirs.fileno())],
                # Nothing is ever written there: its end tells the process that this one is gone.
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=os.environ | {f"{library}_NUM_THREADS": "1" for library in _THREADS},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            theirs.close()
        self.connection = Connection(ours.detach())

    @property
    def is_usable(self) -> bool:
        """Whether it runs and would be started in the same way now."""
        return self._process.poll() is None and self.surroundings == _surroundings()

    def terminate(self) -> None:
        """Ask it to clean up and end."""
        self._process.terminate()

    def ended(self, seconds: float) -> int:
        """Its exit status, minus the number of a signal that killed it; it is killed if it has not ended in time."""
        try:
            return self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self.connection.close()
            assert self._process.stdin is not None
            self._process.stdin.close()


_idle: list[_Worker] = []
"""Processes that have nothing to do: starting one takes seconds, most of them for torch."""


def in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    count: int,
    on_failure: Callable[[Task, str], Result] | None,
) -> Iterator[Result]:
    """The results of a function over tasks, each exactly once, in the order in which they finish.

    Where a process dies its task is put behind all others, until it has cost `ALLOWED_DEATHS` of them.

    Args:
        function: importable by name, as the classes of tasks and results are.
        tasks: consumed when there is a process for them.
        count: of processes.
        on_failure: the result of a task that is given up, from the reason; without it, that is an error.

    Raises:
        WorkerDied: a task is given up, and there is no `on_failure`.
    """
    ahead, again = iter(tasks), deque[tuple[Task, int]]()
    busy: dict[Any, tuple[_Worker, Task, int]] = {}
    finished = deque[Result]()

    def waiting() -> Iterator[tuple[Task, int]]:
        for task in ahead:
            yield task, 0
        while again:
            yield again.popleft()

    try:
        while True:
            # Before results are handed over, which may take the receiver some time.
            while len(busy) < count and (next_one := next(waiting(), None)) is not None:
                content = pickle.dumps((function, next_one[0]))
                worker = _idle_or_new()
                busy[worker.connection] = (worker, *next_one)
                _send(worker, content)
            if finished:
                yield finished.popleft()
                continue
            if not busy:
                return
            for connection in wait(list(busy)):
                worker, task, deaths = busy[connection]
                try:
                    answer = worker.connection.recv_bytes()
                except (EOFError, OSError):
                    del busy[connection]
                    reason = _cause(deaths + 1, worker.ended(_GRACE))
                    if deaths + 1 < ALLOWED_DEATHS:
                        again.append((task, deaths + 1))
                    elif on_failure is None:
                        raise WorkerDied(f"a task was given up: {reason}") from None
                    else:
                        finished.append(on_failure(task, reason))
                    continue
                del busy[connection]
                _idle.append(worker)
                done, result = pickle.loads(answer)
                if not done:
                    raise result
                finished.append(result)
    finally:
        _stop([worker for worker, _, _ in busy.values()])


def _surroundings() -> tuple[object, ...]:
    return os.getpid(), Path.cwd(), dict(os.environ), list(sys.path)


def _idle_or_new() -> _Worker:
    while _idle:
        worker = _idle.pop()
        if worker.is_usable:
            return worker
        _stop([worker])
    return _Worker()


def _send(worker: _Worker, content: bytes) -> None:
    try:
        worker.connection.send_bytes(content)
    except OSError:  # it is dead, which whoever waits for its answer will find out
        return


def _cause(deaths: int, status: int) -> str:
    how = f"with exit status {status}"
    if status < 0:
        how = f"by {signal.Signals(-status).name}"
    if status == -signal.SIGKILL:
        how += ", as happens where the memory does not suffice; fewer workers need less of it"
    return f"{deaths} worker processes died of it, the last one {how}"


def _stop(workers: Sequence[_Worker]) -> None:
    """End processes, whatever they do, within about a second."""
    for worker in workers:
        worker.terminate()
    latest = time.monotonic() + _GRACE
    for worker in workers:
        worker.ended(latest - time.monotonic())


@atexit.register
def _stop_idle() -> None:
    # A forked copy of this process has the list, but they are not its own.
    _stop([worker for worker in _idle if worker.surroundings[0] == os.getpid()])
    _idle.clear()


def serve(descriptor: int) -> None:
    """What a process does: run tasks until there have been none for a while, or the process that sends them is gone.

    Args:
        descriptor: of the socket on which they come.
    """
    os.set_inheritable(descriptor, False)
    # So that what is half-written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with Connection(descriptor) as connection:
        while connection.poll(_IDLE):
            try:
                content = connection.recv_bytes()
            except EOFError:
                return
            connection.send_bytes(_answer(content))


def _end_with_parent() -> None:
    """End at once when the standard input does, which is when the other process has ended, however that came about."""
    os.read(0, 1)
    os._exit(1)


def _answer(content: bytes) -> bytes:
    """`(True, result)` or `(False, error)`, pickled."""
    try:
        function, task = pickle.loads(content)
        return pickle.dumps((True, function(task)))
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)
        except Exception:  # not every error can be sent
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer
