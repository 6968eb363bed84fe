"""Commands about tables of accuracies: table build, import, compare, info and query."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opselect.bench.cli.options import (
    JsonOption,
    QuietOption,
    TableArgument,
    WorkersOption,
    check_known,
    load_table,
    worker_count,
)
from opselect.bench.cli.output import print_json
from opselect.bench.cli.progress import progress_display

if TYPE_CHECKING:
    from opselect.spaces.table import Table


def build(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="The table to make; digits201 is the one that can be made.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="The Parquet file to write.")] = Path(
        "digits201.parquet"
    ),
    checkpoint: Annotated[
        Path, typer.Option(metavar="PATH", help="Finished trainings; an interrupted build goes on from there.")
    ] = Path("digits201-trained-cells.jsonl"),
    workers: WorkersOption = 0,
    limit: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="Stop after so many of the 5,260 distinct cells.")
    ] = 5260,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train every distinct cell with every seed and write the table; hours of work, resumed where it stopped.

    Example: `opselect table build digits201 --workers 2`
    """
    check_known("buildable table", name, ("digits201",))
    with progress_display(f"reading {checkpoint}", quiet) as progress:
        from opselect.bench.tables import digits201 as table_building
        from opselect.spaces.files import check_writable

        check_writable(output.parent)
        table = table_building.build_digits201(
            checkpoint, limit, worker_count(workers), lambda done, total: progress("cells", done, total)
        )
    if table is not None:
        table.write(output)
    if as_json:
        print_json({"table": None if table is None else str(output), "checkpoint": str(checkpoint)})
    elif table is None:
        print(f"not all cells are trained yet; {checkpoint} holds those that are")
    else:
        print(f"table: {output}")


def import_table(
    benchmark: Annotated[
        str,
        typer.Argument(metavar="BENCHMARK", help="The benchmark; nasbench201 is the one that can be imported."),
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="An official .pth file, a NATS-Bench (topology) folder, a .csv or .csv.gz file, the data.anb of "
            "AnalogNAS-Bench, or 'analognasbench' for that of the installed package.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", "-n", help="What the table is called from then on.", metavar="NAME")
    ] = "nasbench201",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="A Parquet file instead of the user's cache.")
    ] = None,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import published accuracies once; from then on they open in milliseconds, under the given name.

    Example: `opselect table import nasbench201 NAS-Bench-201-v1_1-096897.pth`
    """
    check_known("importable benchmark", benchmark, ("nasbench201",))
    with progress_display(f"opening {source}", quiet) as progress:
        from opselect.bench.tables.importers.nasbench201 import import_nasbench201
        from opselect.spaces.files import check_writable, imported_table
        from opselect.spaces.table import checked_name

        target = output or imported_table(checked_name(name))
        check_writable(target.parent)
        table = import_nasbench201(source, lambda done, total: progress("import", done, total), worker_count(workers))
        table.write(target)
    if as_json:
        print_json({"table": str(target), **_description(table)})
        return
    print(_contents(table))
    print(f"\ntable: {target}")
    print(f"next: opselect table info {target if output else name}")


def compare(
    first: TableArgument,
    second: TableArgument,
    as_json: JsonOption = False,
) -> None:
    """Compare two tables where they hold the same thing: coverage, disagreement, rank correlation, means over seeds.

    Example: `opselect table compare nasbench201 mine.parquet`
    """
    from dataclasses import asdict

    from opselect.bench.tables import compare as comparison

    rows = comparison.compare(load_table(first), load_table(second))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print(comparison.comparison_text(rows))


def info(name: TableArgument, as_json: JsonOption = False) -> None:
    """Say what a table holds and how it was made.

    Example: `opselect table info digits201`
    """
    table = load_table(name)
    if as_json:
        print_json(_description(table))
        return
    print(f"space: {table.space.name}\nfingerprint: {table.fingerprint}\n")
    print(_contents(table))
    print("\nhow it was made:")
    for key, value in table.provenance.items():
        print(f"  {key}: {json.dumps(value) if isinstance(value, dict | list) else value}")


def query(
    name: TableArgument,
    architecture: Annotated[str, typer.Argument(metavar="ARCHITECTURE", help="In the notation of the table's space.")],
    dataset: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Which dataset, where the table has several.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="valid|test", help="Which split, where the table has several.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Which training budget, where the table has several.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="mean|each|SEED", help="mean, each, or the number of a seed, where the table has several."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look up one architecture. Of several datasets, splits, epochs or seeds one must be named: nothing is guessed.

    Example: `opselect table query digits201 '|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|'
    --split test --seeds mean`
    """
    from opselect.spaces.table import NotInTable

    table = load_table(name)
    column = _column(table, name, dataset, split, epochs)
    known = _seeds_of(table, column)
    if seeds is None and len(known) > 1:
        raise NotInTable(f"{name!r} has several: add --seeds and one of mean, each, {', '.join(known)}")
    policy: Any = int(seeds) if seeds and seeds.isdecimal() else seeds or "mean"
    if policy not in ("mean", "each") and not isinstance(policy, int):
        raise NotInTable(f"--seeds {seeds!r}, expected mean, each, or the number of a seed")
    value = table.accuracy(table.space.parse(architecture), *column, policy)
    if as_json:
        print_json(
            {
                "architecture": architecture,
                **dict(zip(("dataset", "split", "epochs"), column, strict=True)),
                "seeds": policy,
                "accuracy": value,
            }
        )
    else:
        print(" ".join(f"{number:.4f}" for number in (value if isinstance(value, tuple) else (value,))))


def _column(
    table: "Table", name: str, dataset: str | None, split: str | None, epochs: int | None
) -> tuple[str, str, int]:
    """The column of these options; an option that is not given must have only one value in the table.

    Raises:
        NotInTable: It has several.
    """
    from opselect.spaces.table import NotInTable

    def only(option: str, values: Iterable[Any], given: Any) -> Any:
        known = list(dict.fromkeys(values))
        if given is None and len(known) > 1:
            raise NotInTable(f"{name!r} has several: add --{option} and one of {', '.join(map(str, known))}")
        return known[0] if given is None else given

    datasets, splits, budgets = zip(*table.columns, strict=True)
    return only("dataset", datasets, dataset), only("split", splits, split), only("epochs", budgets, epochs)


def _seeds_of(table: "Table", column: tuple[str, str, int]) -> list[str]:
    """The seeds of a column of a table; none where there is no such column."""
    rows = table.contents().to_dict("records")
    return next((row["seeds"].split() for row in rows if (row["dataset"], row["split"], row["epochs"]) == column), [])


def _description(table: "Table") -> dict[str, Any]:
    """What a table holds and how it was made, as JSON data."""
    return {
        "space": table.space.name,
        "fingerprint": table.fingerprint,
        "provenance": table.provenance,
        "contents": table.contents().to_dict("records"),
    }


def _contents(table: "Table") -> str:
    """Contents of a table as text: one line per column of accuracies, with how many architectures it lacks."""
    return table.contents().to_string(index=False, float_format="%.2f")
