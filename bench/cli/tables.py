"""Commands about tables of accuracies: table build, import, compare, info and query."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opselect.bench.cli.options import JsonOption, WorkersOption, load_table, worker_count
from opselect.bench.cli.output import print_json, progress_bars

if TYPE_CHECKING:
    from opselect.spaces.table import Table


def build(
    name: Annotated[str, typer.Argument(help="The table to make; digits201 is the one that can be made.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")] = Path(
        "digits201.parquet"
    ),
    checkpoint: Annotated[
        Path, typer.Option(help="Finished trainings; an interrupted build goes on from there.")
    ] = Path("digits201-trained-cells.jsonl"),
    workers: WorkersOption = 0,
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many of the 5,260 distinct cells.")] = 5260,
) -> None:
    """Train every distinct cell with every seed and write the table; hours of work, resumed where it stopped.

    Example: `opselect table build digits201 --workers 2`
    """
    from opselect.bench.tables import digits201 as table_building
    from opselect.spaces import registry
    from opselect.spaces.files import check_writable

    if name != "digits201":
        raise registry.UnknownName(
            f"no table that can be built is named {name!r}{registry.did_you_mean(name, ('digits201',))}"
        )
    check_writable(output.parent)
    with progress_bars() as progress:
        table = table_building.build_digits201(
            checkpoint, limit, worker_count(workers), lambda done, total: progress("cells", done, total)
        )
    if table is None:
        print(f"not all cells are trained yet; {checkpoint} holds those that are")
        return
    table.write(output)
    print(f"table: {output}")


def import_table(
    space: Annotated[str, typer.Argument(help="The benchmark; nasbench201 is the one that can be imported.")],
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
        Path | None, typer.Option("--output", "-o", help="A Parquet file instead of the user's cache.")
    ] = None,
    workers: WorkersOption = 0,
) -> None:
    """Import published accuracies once; from then on they open in milliseconds, under the given name.

    Example: `opselect table import nasbench201 NAS-Bench-201-v1_1-096897.pth`
    """
    from opselect.bench.tables.importers.nasbench201 import import_nasbench201
    from opselect.spaces import registry
    from opselect.spaces.files import check_writable, imported_table
    from opselect.spaces.table import checked_name

    if space != "nasbench201":
        raise registry.UnknownName(
            f"no benchmark that can be imported is named {space!r}{registry.did_you_mean(space, ('nasbench201',))}"
        )
    target = output or imported_table(checked_name(name))
    check_writable(target.parent)
    with progress_bars() as progress:
        table = import_nasbench201(source, lambda done, total: progress("import", done, total), worker_count(workers))
    table.write(target)
    print(_contents(table))
    print(f"\ntable: {target}")


def compare(
    first: Annotated[str, typer.Argument(help="A table by name, or a Parquet file.")],
    second: Annotated[str, typer.Argument(help="Another one of the same space.")],
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


def info(
    name: Annotated[str, typer.Argument(help="A registered table, or a Parquet file.")], as_json: JsonOption = False
) -> None:
    """Say what a table holds and how it was made.

    Example: `opselect table info digits201`
    """
    table = load_table(name)
    if as_json:
        print_json(
            {"space": table.space.name, "provenance": table.provenance, "contents": table.contents().to_dict("records")}
        )
        return
    print(f"space: {table.space.name}\nfingerprint: {table.fingerprint}\n")
    print(_contents(table))
    print("\nhow it was made:")
    for key, value in table.provenance.items():
        print(f"  {key}: {json.dumps(value) if isinstance(value, dict | list) else value}")


def query(
    name: Annotated[str, typer.Argument(help="A registered table, or a Parquet file.")],
    architecture: Annotated[str, typer.Argument(help="In the notation of the table's space.")],
    dataset: Annotated[str, typer.Option(help="Which dataset.")],
    split: Annotated[str, typer.Option(help="valid or test.")],
    epochs: Annotated[int, typer.Option(help="Which training budget.")],
    seeds: Annotated[str, typer.Option(help="mean, each, or the number of a seed.")],
    as_json: JsonOption = False,
) -> None:
    """Look up one architecture. Dataset, split, epochs and seeds have no defaults: nothing is guessed.

    Example: `opselect table query digits201 '|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|'
    --dataset digits --split test --epochs 10 --seeds mean`
    """
    from opselect.spaces.table import NotInTable

    table = load_table(name)
    policy: Any = int(seeds) if seeds.isdecimal() else seeds
    if policy not in ("mean", "each") and not isinstance(policy, int):
        raise NotInTable(f"--seeds {seeds!r}, expected mean, each, or the number of a seed")
    value = table.accuracy(table.space.parse(architecture), dataset, split, epochs, policy)
    if as_json:
        print_json({"architecture": architecture, "accuracy": value})
    else:
        print(" ".join(f"{number:.4f}" for number in (value if isinstance(value, tuple) else (value,))))


def _contents(table: "Table") -> str:
    """Contents of a table as text: one line per column of accuracies, with how many architectures it lacks."""
    return table.contents().to_string(index=False, float_format="%.2f")
