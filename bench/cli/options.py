"""Arguments and options that several commands share, and the objects that they describe."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opselect.bench.cli import complete

if TYPE_CHECKING:
    from opselect.bench.experiment.study import Study
    from opselect.bench.runtime.parallel import Workers
    from opselect.spaces.table import Table

ExperimentArgument = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="A TOML file, or the name of one that the package ships (digits201).",
        autocompletion=complete.experiments,
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that 'opselect run' has written.")]
SelectorsOption = Annotated[
    list[str] | None,
    typer.Option("--selector", "-s", metavar="LABEL", help="Only the selector with this label; may be repeated."),
]
SeedsOption = Annotated[
    list[int] | None, typer.Option("--seed", min=0, metavar="SEED", help="Only this seed; may be repeated.")
]
ImagesOption = Annotated[
    str, typer.Option(metavar="IMAGES", help="Images by name, or an .npz file.", autocompletion=complete.images)
]
TableArgument = Annotated[
    str,
    typer.Argument(metavar="TABLE", help="A table by name, or a Parquet file.", autocompletion=complete.tables),
]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="cpu|cuda", help="Device of the networks; that of the experiment file by default."),
]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", "-w", min=0, metavar="COUNT", help="Worker processes, one thread each; 0: one per core."),
]
BackendOption = Annotated[
    str,
    typer.Option(
        metavar="local|dask", help="local, for processes of this machine, or dask, for the workers of a Dask cluster."
    ),
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of the Dask cluster's scheduler: tcp://HOST:8786.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no table.")]
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


def load_study(name: str, device: str | None = None) -> "Study":
    """Read an experiment file, or a shipped experiment by its name.

    Args:
        name: Path of the file, or name of the experiment.
        device: Device that replaces the one of the file; None for that one.
    """
    from opselect.bench.experiment.shipped import experiment_path

    path = experiment_path(name)  # before torch is imported, which takes seconds
    if device is not None:
        check_known("device", device, ("cpu", "cuda"))

    import tomli_w

    from opselect.bench.experiment.file import text_of
    from opselect.bench.experiment.study import parse_study, read_study
    from opselect.spaces.files import read_toml

    if device is None:
        return read_study(path)
    text = text_of(path)
    with contextlib.suppress(ValueError):  # `parse_study` raises the message for it
        text = tomli_w.dumps(read_toml(text) | {"device": device})
    return parse_study(text, str(path))


def check_known(what: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the known ones, with the nearest of them."""
    from opselect.spaces.registry import UnknownName, did_you_mean

    if value not in known:
        raise UnknownName(f"no {what} named {value!r}{did_you_mean(value, known)}")


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

    check_known("backend", backend, ("local", "dask"))
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


def steps_at_a_time(workers: "Workers") -> int:
    """Number of steps that the workers run at a time."""
    from opselect.bench.runtime.dask_cluster import connected

    if isinstance(workers, int):
        return workers
    with connected(workers) as client:
        return max(len(client.scheduler_info()["workers"]), 1)
