"""How a process uses the machine, and which processes share the work."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias, TypeVar

import torch

from opselect.bench.runtime.dask_cluster import Cluster, on_cluster
from opselect.bench.runtime.processes import in_processes

# Names of glibc's mallopt parameters, from malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3

Task = TypeVar("Task")
Result = TypeVar("Result")

Workers: TypeAlias = int | Cluster
"""Number of processes of this machine, each with one torch thread (1 is this process itself), or a cluster."""


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_single_thread() -> None:
    """Prepare this process for tiny networks: one torch thread, and freed memory stays with the process.

    More threads make tiny networks slower, up to 20 times under load. glibc returns every freed tensor of a few hundred
    kilobytes to the system, and touching fresh pages again cost an eighth of a training; with the thresholds at their
    maximum it keeps them. Elsewhere than on glibc the allocator stays as it is.
    """
    torch.set_num_threads(1)
    with contextlib.suppress(OSError, AttributeError):
        allocator = ctypes.CDLL("libc.so.6")
        allocator.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        allocator.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of the GPU did not suffice; torch has no error of its own for the former."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _one_threaded(function: Callable[[Task], Result], task: Task) -> Result:
    use_single_thread()
    return function(task)


def in_parallel(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: Workers,
    on_failure: Callable[[Task, str], Result] | None = None,
) -> Iterator[Result]:
    """The results of a function over tasks, each exactly once, in the order in which they finish.

    A task whose worker dies runs again on another one, until it has cost three of them (`ALLOWED_DEATHS`), or on a
    cluster more than the scheduler's `allowed-failures` (3).

    On this machine each worker is one process in an executor of its own, from joblib's loky, and has one task at a
    time. A pool of several processes, such as `joblib.Parallel`, ends as a whole when one of them dies: its other tasks
    are killed half-way, results that were not fetched yet are lost, and it is unknown which task was to blame. Here a
    death ends one executor and costs one task a try. The executors are not joblib's reusable ones either, which keep
    the environment and the working directory of their first use.

    joblib's backend for Dask does not serve either: a task that is given up after others have finished leaves its
    generator waiting for ever, and so does one that the scheduler cannot read; and arguments that it spreads over the
    workers are lost with them.

    Args:
        function: Importable by name, so that a worker process can find it.
        tasks: Consumed a few at a time.
        workers: Number of processes, or a cluster.
        on_failure: Makes the result of a task that is given up, from the task and the reason; without it, that is an
            error.

    Yields:
        The results.

    Raises:
        WorkerDied: A task is given up on this machine, and there is no `on_failure`.
        UnusableCluster: The cluster cannot be reached or is lost, its versions differ from those here, a worker cannot
            load a task or lacks what the task needs, or it has given up a task and there is no `on_failure`.

    Example:
        >>> list(in_parallel(abs, [-1, -2, 3], workers=1))
        [1, 2, 3]
    """
    if isinstance(workers, Cluster):
        yield from on_cluster(partial(_one_threaded, function), tasks, workers, on_failure)
        return
    if workers > 1:
        yield from in_processes(partial(_one_threaded, function), tasks, workers, on_failure)
        return
    for task in tasks:
        yield _one_threaded(function, task)
