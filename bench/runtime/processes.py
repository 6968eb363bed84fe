"""Work in processes of this machine: a task whose process dies runs again in another one, and none is left behind."""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import Pipe, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from joblib.externals.loky import process_executor

from opselect.bench.runtime.log import print_warnings
from opselect.bench.runtime.retries import ALLOWED_DEATHS, give_up
from opselect.spaces.errors import UserError

# Seconds: until a process without a task ends by itself, and for one to clean up when it is stopped.
_IDLE = 300.0
_GRACE = 1.0

_THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(UserError, RuntimeError):
    """A task that has cost too many processes; the message says how they ended."""


class _Worker:
    """A process of this machine, in an executor of its own, that runs one task at a time.

    Attributes:
        inherited: What the process has inherited from this one.
        idle_since: When it became idle, in seconds of the monotonic clock.
        future: Done when its task is, or when the process has died.
    """

    def __init__(self) -> None:
        self.inherited = _inheritance()
        self.idle_since = time.monotonic()
        self.future: Future[bytes] = Future()
        # Nothing is ever written to this pipe: its end tells the process that this one is gone.
        reader, self._lifeline = Pipe(duplex=False)
        self._executor = process_executor.ProcessPoolExecutor(
            max_workers=1, timeout=_IDLE, initializer=_prepare_process, initargs=(reader,), env=_THREADS
        )
        # Python's own tracker unblocks the signal when it starts, which it would do below with the first process.
        resource_tracker.ensure_running()
        # Ctrl-C on a terminal reaches all its processes. This one decides what becomes of the others, so they begin
        # with that signal blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            # Otherwise the first task starts the process, and one that dies at once is forgotten with its exit status.
            self._executor._adjust_process_count()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            reader.close()
        (self._process,) = self._executor._processes.values()
        # The process holds the only writing end of its answers now. If it dies in the middle of one, the executor meets
        # the end of the pipe; with a second writing end it would wait for the rest for ever.
        self._executor._result_queue._writer.close()

    @property
    def is_usable(self) -> bool:
        """Whether the process runs, is not about to end by itself, and would inherit the same if it started now."""
        is_fresh = time.monotonic() - self.idle_since < _IDLE / 2
        return is_fresh and self._process.is_alive() and self.inherited == _inheritance()

    @property
    def has_died(self) -> bool:
        """Whether the process has died of its last task; waits until that is known."""
        return isinstance(self.future.exception(), BrokenProcessPool)

    def submit(self, content: bytes) -> None:
        """Run a pickled pair of a function and its task."""
        try:
            self.future = self._executor.submit(_run, content)
        except BrokenProcessPool as error:  # the process has died while idle
            self.future = Future()
            self.future.set_exception(error)

    def terminate(self) -> None:
        """Signal the process to clean up and end."""
        self._process.terminate()

    def end(self, seconds: float) -> int:
        """Wait for the process to end, and kill it if it has not done so in time.

        Args:
            seconds: Longest time to wait, in seconds.

        Returns:
            The exit status, or minus the number of the signal that killed the process.
        """
        self._process.join(max(seconds, 0.0))
        self._executor.shutdown(kill_workers=True)
        self._lifeline.close()
        return self._process.exitcode or 0


@dataclass
class _Attempt(Generic[Task]):
    """A task, and how many processes have died of it so far."""

    task: Task
    deaths: int = 0


_idle: list[_Worker] = []
"""Workers without a task: starting one takes seconds, most of them for torch. joblib ends them with this process."""

# The workers of a process do not belong to its forked copy.
os.register_at_fork(after_in_child=_idle.clear)


def in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    count: int,
    on_failure: Callable[[Task, str], Result] | None,
) -> Iterator[Result]:
    """The results of a function over tasks, each exactly once, in the order in which they finish.

    A task whose process dies is put behind all others, until it has cost `ALLOWED_DEATHS` processes.

    Args:
        function: Importable by name, as the classes of tasks and results are.
        tasks: Consumed one by one, when there is a process for the next.
        count: Number of processes.
        on_failure: Makes the result of a task that is given up, from the task and the reason; without it, that is an
            error.

    Yields:
        The results.

    Raises:
        WorkerDied: A task is given up, and there is no `on_failure`.
    """
    fresh, retries = (_Attempt(task) for task in tasks), deque[_Attempt[Task]]()
    busy: dict[_Worker, _Attempt[Task]] = {}
    finished = deque[Result]()
    try:
        while True:
            # Before results are handed over, which may take the receiver some time.
            while len(busy) < count and (attempt := _next_attempt(fresh, retries)) is not None:
                _start(function, attempt, busy)
            if finished:
                yield finished.popleft()
                continue
            if not busy:
                return
            for worker in _wait_for_some(busy):
                attempt = busy.pop(worker)
                if not worker.has_died:
                    _keep_idle(worker)
                    finished.append(_result(worker.future.result()))
                    continue
                attempt.deaths += 1
                cause = _cause(worker.end(_GRACE))
                if attempt.deaths < ALLOWED_DEATHS:
                    retries.append(attempt)
                else:
                    deaths = f"{attempt.deaths} worker processes"
                    finished.append(give_up(attempt.task, deaths, cause, on_failure, WorkerDied))
    finally:
        _stop(list(busy))


def _next_attempt(fresh: Iterator[_Attempt[Task]], retries: deque[_Attempt[Task]]) -> _Attempt[Task] | None:
    """The next task that was never tried, or else the next one whose process has died, or None."""
    attempt = next(fresh, None)
    return retries.popleft() if attempt is None and retries else attempt


def _start(function: Callable[[Task], Result], attempt: _Attempt[Task], busy: dict[_Worker, _Attempt[Task]]) -> None:
    """Give a task to an idle worker or to a new one."""
    # As bytes, so that what cannot be read in the worker, or here, is an error of the task: joblib would take it for
    # the death of the process.
    content = pickle.dumps((function, attempt.task))
    worker = _idle_or_new()
    # First, so that whatever interrupts the start, the worker is stopped with the others.
    busy[worker] = attempt
    worker.submit(content)


def _wait_for_some(busy: Iterable[_Worker]) -> list[_Worker]:
    """The workers that have done their task or died, as soon as there is one."""
    done = wait([worker.future for worker in busy], return_when=FIRST_COMPLETED).done
    return [worker for worker in busy if worker.future in done]


def _result(answer: bytes) -> Any:
    """The result in an answer of a worker; an error that it holds is raised."""
    succeeded, result = pickle.loads(answer)
    if not succeeded:
        raise result
    return result


def _inheritance() -> tuple[object, ...]:
    """What a process would inherit if it started now: working directory, environment and import path."""
    return Path.cwd(), dict(os.environ), list(sys.path)


def _idle_or_new() -> _Worker:
    """An idle worker that is like a new one, or a new one; those that differ from it are stopped."""
    while _idle:
        worker = _idle.pop()
        if worker.is_usable:
            return worker
        _stop([worker])
    return _Worker()


def _keep_idle(worker: _Worker) -> None:
    worker.idle_since = time.monotonic()
    _idle.append(worker)


def _cause(status: int) -> str:
    """How a process with an exit status has ended."""
    if status >= 0:
        return f"with exit status {status}"
    how = f"by {signal.Signals(-status).name}"
    if status == -signal.SIGKILL:
        how += ", as happens where the memory does not suffice; fewer workers need less of it"
    return how


def _stop(workers: Sequence[_Worker]) -> None:
    """End processes within about a second, even if they are busy."""
    for worker in workers:
        worker.terminate()
    latest = time.monotonic() + _GRACE
    for worker in workers:
        worker.end(latest - time.monotonic())


def _prepare_process(lifeline: Connection) -> None:
    """Initialise a worker process.

    Args:
        lifeline: Reading end of a pipe that ends with the process that has started this one.
    """
    # Otherwise joblib replaces a process that has grown by 300 MB, as training does without any leak, and warns.
    process_executor._USE_PSUTIL = False
    print_warnings()
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    """End at once when the process that has started this one has ended, however that came about."""
    lifeline.poll(None)
    os._exit(1)


def _run(content: bytes) -> bytes:
    """Run a task in a worker process and return the answer; clean up and end when the process is terminated."""
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        answer = _answer(content)
        # Nothing is half-written between tasks, so that the process may end at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit as end:
        # joblib would send this as the answer, and go on.
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    return answer


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
