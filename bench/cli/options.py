"""Arguments and options that several commands share, and the objects that they describe."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opselect.bench.experiment.study import Study
    from opselect.bench.runtime.parallel import Workers
    from opselect.spaces.table import Table

ExperimentArgument = Annotated[
    str,
    typer.Argument(metavar="EXPERIMENT", help="A TOML file, or the name of one that the package ships (digits201)."),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-w", min=0, help="Worker processes, one thread each; 0 means one a core.")
]
BackendOption = Annotated[
    str, typer.Option(help="local, for processes of this machine, or dask, for the workers of a Dask cluster.")
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of the Dask cluster's scheduler: tcp://HOST:8786.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def load_study(name: str) -> "Study":
    """Read an experiment file, or a packaged experiment by its name."""
    from opselect.bench.experiment.study import find_study

    return find_study(name)


def load_table(name: str) -> "Table":
    """Open a table by its name or a Parquet file by its path."""
    from opselect.spaces.table import load

    return load(name)


def worker_count(workers: int) -> int:
    """Number of worker processes; 0 stands for one per core."""
    from opselect.bench.runtime.parallel import available_cores

    return workers or available_cores()


def workers_of(count: int, backend: str, scheduler: str | None) -> "Workers":
    """Worker processes of this machine, or a Dask cluster, which is tried before anything else happens."""
    from opselect.bench.runtime.dask_cluster import Cluster, UnusableCluster, connected
    from opselect.spaces.registry import UnknownName, did_you_mean

    backends = ("local", "dask")
    if backend not in backends:
        raise UnknownName(f"no backend named {backend!r}{did_you_mean(backend, backends)}")
    if backend == "local":
        if scheduler is not None:
            raise UnusableCluster(f"--scheduler {scheduler} without a cluster; add --backend dask")
        return worker_count(count)
    if scheduler is None:
        raise UnusableCluster("--backend dask without a scheduler; add --scheduler and the address that it prints")
    if count > 1:
        raise UnusableCluster(
            f"--workers {count} with --backend dask; a cluster works with all the workers that it has"
        )
    with connected(cluster := Cluster(scheduler)):
        return cluster
