"""Arguments and options that several commands share, and the objects that they describe."""

from pathlib import Path
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
LayoutOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Width of LaTeX tables: column (3.25 in), text (5.5 in, default), full (6.75 in)."
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Widths and type of a style: neurips, icml, cvpr; the narrowest that fits."),
]
ColumnsOption = Annotated[
    str,
    typer.Option(metavar="A,B,...", help="Columns, as in the CSV files, of the LaTeX tables that have all of them."),
]
NotesOption = Annotated[bool, typer.Option("--notes", help="Print the notes of LaTeX tables below them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def load_study(name: str) -> "Study":
    """Read an experiment file, or a packaged experiment by its name."""
    from opselect.bench.experiment.file import InvalidExperiment
    from opselect.bench.experiment.study import read_study
    from opselect.spaces.files import is_file
    from opselect.spaces.registry import did_you_mean

    packaged = Path(__file__).parents[1] / "experiment" / "packaged"
    names = tuple(sorted(path.stem for path in packaged.glob("*.toml")))
    path = packaged / f"{name}.toml" if name in names else Path(name)
    if not is_file(path):
        raise InvalidExperiment(
            f"{name}: no such file, and no experiment of that name is shipped{did_you_mean(name, names)}"
        )
    return read_study(path)


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
