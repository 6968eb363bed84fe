"""Work on the workers of a Dask cluster, each task's result exactly once whatever happens to workers."""

import asyncio
import contextlib
import logging
import pickle
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar, cast

import torch

from opselect.bench.runtime.retries import give_up
from opselect.spaces.errors import UserError, in_one_line

log = logging.getLogger(__name__)

_PATIENCE = 8.0
"""Seconds within which a scheduler must answer."""
_GLANCE = 1.0
"""Seconds between two looks at the number of workers."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """The workers of a Dask cluster: one process each, with one thread, that see the same files under the same paths.

    Attributes:
        scheduler: Address of the scheduler, for example `tcp://host:8786`.
    """

    scheduler: str


class UnusableCluster(UserError, RuntimeError):
    """A cluster that cannot do the work; the message says what to do about it."""


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """A client of a cluster whose scheduler and workers have the same versions as this process.

    Raises:
        UnusableCluster: The versions differ, or the scheduler does not answer or is lost while the block runs.
    """
    try:
        import distributed
    except ImportError:
        raise UnusableCluster("dask is not installed here; try: pip install 'opselect[cluster]'") from None
    address = cluster.scheduler
    try:
        # A client waits for ever where something else than a scheduler answers, a web server for example.
        asyncio.run(asyncio.wait_for(_greet(address), _PATIENCE))
        client = distributed.Client(address, timeout=_PATIENCE)
    except Exception as error:
        why = f"within {_PATIENCE:.0f} seconds" if isinstance(error, TimeoutError) else f"({in_one_line(error)})"
        raise UnusableCluster(
            f"no Dask scheduler answers at {address!r} {why}; start one with 'dask scheduler', and give the address "
            "that it prints"
        ) from None
    with _without_log_of_dask(), client:
        try:
            _compare_versions(client)
            yield client
        except CancelledError:
            raise UnusableCluster(
                f"the scheduler at {address} is gone or was restarted; what was finished is kept, "
                "the same command goes on from there"
            ) from None


@contextlib.contextmanager
def _without_log_of_dask() -> Iterator[None]:
    """Silence dask in this process, which logs a traceback when the scheduler is lost; our sentence says it all."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


async def _greet(address: str) -> None:
    from distributed.core import rpc

    async with rpc(address) as there:
        kind = (await there.identity())["type"]
    if kind != "Scheduler":
        raise ValueError(f"it is the address of a {kind.lower()}")


def _versions() -> dict[str, str]:
    """Versions that may change a result, or the meaning of a message between two processes."""
    return {"Python": platform.python_version(), "opselect": version("opselect"), "torch": torch.__version__}


def _objection(who: str, versions: dict[str, str]) -> str | None:
    """How the versions of the calling process differ from the given ones, or None."""
    for name, ours in _versions().items():
        if ours != versions[name]:
            return f"{who} has {name} {ours}, not {versions[name]} as here; install the same versions on both"
    return None


def _objection_of_worker(versions: dict[str, str], dask_worker: Any) -> str | None:
    if (threads := dask_worker.state.nthreads) != 1:
        return f"worker {dask_worker.address} has {threads} threads, expected 1; start workers with --nthreads 1"
    return _objection(f"worker {dask_worker.address}", versions)


def _compare_versions(client: Any) -> None:
    """Compare versions with the scheduler, which reads all messages to the workers, and with all present workers."""
    versions = _versions()
    try:
        answers = [client.run_on_scheduler(_objection, "the scheduler", versions)]
        # A worker that is lost meanwhile cannot answer, and gets no work either.
        found = client.run(_objection_of_worker, versions, on_error="return").values()
        answers += [answer for answer in found if not isinstance(answer, OSError)]
        if failed := [answer for answer in answers if isinstance(answer, Exception)]:
            raise failed[0]
    except (OSError, CancelledError):  # of the scheduler, which all questions go through
        raise CancelledError from None
    except Exception as error:
        raise UnusableCluster(
            f"cannot compare versions with the scheduler and the workers at {client.scheduler.address} "
            f"({in_one_line(error)}); install opselect, and what else it needs, there as here"
        ) from None
    for objection in answers:
        if objection is not None:
            raise UnusableCluster(objection)


def on_cluster(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    cluster: Cluster,
    on_failure: Callable[[Task, str], Result] | None,
) -> Iterator[Result]:
    """The results of a function over tasks, each exactly once, in the order in which they finish.

    A task whose worker dies runs again, until it has cost more workers than the scheduler's `allowed-failures`. A
    worker that joins later and does not fit is left out with a warning, and its task runs on another one.

    Args:
        function: Importable by name on the workers too.
        tasks: Consumed at once.
        cluster: The workers.
        on_failure: Makes the result of a task that is given up, from the task and the reason; without it, that is an
            error.

    Yields:
        The results.

    Raises:
        UnusableCluster: The cluster cannot be reached or is lost, its versions differ from those here, no worker can
            load a task, one lacks what it needs, or the scheduler has given up a task and there is no `on_failure`.
    """
    waiting = deque(tasks)
    if not waiting:
        return
    with connected(cluster) as client:
        running: dict[Any, Task] = {}
        left_out = set[str]()
        idle = False
        while waiting or running:
            fit = _workers(client) - left_out
            if not fit and not idle:
                log.warning("no workers at %s; waiting for some", cluster.scheduler)
            idle = not fit
            # The scheduler blames every task that a dying worker holds. So each worker holds one, the one that it runs;
            # where there is no worker yet, one task shows a scheduler that starts them that they are wanted.
            while waiting and len(running) < max(1, len(fit)):
                task = waiting.popleft()
                running[_submit(client, function, task, fit)] = task
            for future in _wait_briefly(running):
                task = running.pop(future)
                result = _result(future, task, on_failure)
                if not isinstance(result, _Refusal):
                    yield result
                    continue
                if not _workers(client) - left_out - {result.worker}:
                    raise UnusableCluster(result.reason)
                if result.worker not in left_out:
                    log.warning("%s; until then it is left out", result.reason)
                left_out.add(result.worker)
                waiting.appendleft(task)


@dataclass(frozen=True)
class _Refusal:
    """What a worker returns that does not fit, instead of the result of a task: its address, and the reason."""

    worker: str
    reason: str


def _submit(client: Any, function: Callable[[Task], Result], task: Task, workers: set[str]) -> Any:
    """Submit a task for one of these workers, or for any where they are gone, so that it does not wait for them."""
    # As bytes, which the scheduler does not open: it needs no plug-in, and spreads nothing over workers.
    content = pickle.dumps((function, task))
    preferred = {"workers": sorted(workers), "allow_other_workers": True} if workers else {}
    return client.submit(_run_on_worker, content, _versions(), pure=False, **preferred)


def _wait_briefly(running: Iterable[Any]) -> Iterable[Any]:
    """The futures that are done, as soon as there is one, or none after a while, since the cluster may have grown."""
    from distributed import wait

    try:
        return cast(Iterable[Any], wait(list(running), timeout=_GLANCE, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return ()


def _result(future: Any, task: Task, on_failure: Callable[[Task, str], Result] | None) -> Result | _Refusal:
    """The result of a task that is done or given up, or the refusal of its worker."""
    from distributed import KilledWorker

    try:
        return cast(Result | _Refusal, future.result())
    except KilledWorker as error:
        deaths = f"{error.allowed_failures + 1} workers"
        return give_up(task, deaths, str(error.last_worker.address), on_failure, UnusableCluster)


def _workers(client: Any) -> set[str]:
    """Addresses of the present workers."""
    try:
        return set(client.nthreads())
    except (OSError, RuntimeError):  # the error of a client that has lost its scheduler depends on the moment
        raise CancelledError from None


def _run_on_worker(content: bytes, versions: dict[str, str]) -> Any:
    """Run a task on a worker of a cluster, after comparing versions again, since the worker may have joined late."""
    from distributed import get_worker

    worker = get_worker()
    if (objection := _objection_of_worker(versions, worker)) is not None:
        return _Refusal(worker.address, objection)
    try:
        function, task = pickle.loads(content)
    except Exception as error:
        return _Refusal(
            worker.address,
            f"worker {worker.address} cannot load a task ({in_one_line(error)}); install there what is installed here",
        )
    try:
        return function(task)
    except UserError as error:
        raise UnusableCluster(f"worker {worker.address}: {error}") from None
