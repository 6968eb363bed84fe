"""The one place that decides how a process uses the machine."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import joblib
import torch

# Names of glibc's mallopt parameters, from malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle() -> None:
    """Prepare this process for tiny networks: one torch thread, freed memory kept.

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
    settle()
    return function(task)


def in_parallel(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """The results of a function over tasks, in the order in which they finish.

    Args:
        function: importable by name, so that a worker process can find it.
        tasks: consumed a few at a time.
        workers: processes, each with one torch thread. One worker runs in this process.
    """
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1, inner_max_num_threads=1)
    yield from parallel(joblib.delayed(_one_threaded)(function, task) for task in tasks)
