"""Commands that compare: check a run with a baseline, plan a comparison, and published numbers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from opselect.bench.cli.options import JsonOption, RunArgument, SelectorsOption
from opselect.bench.cli.output import page_console, print_json
from opselect.spaces.errors import UserError

if TYPE_CHECKING:
    from opselect.bench.runs.run import Run


def check(
    folder: RunArgument,
    against: Annotated[Path, typer.Option(metavar="RUN", help="The baseline: another one, which is trusted.")],
    level: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Chance of any false alarm, over all selectors and measures.")
    ] = 0.05,
    cost_tolerance: Annotated[
        float, typer.Option(min=1.0, help="How many times slower a search may be on the same processor.")
    ] = 2.0,
    statistical: Annotated[
        bool, typer.Option("--statistical", help="Judge means even where records should be equal to the last bit.")
    ] = False,
    selector: SelectorsOption = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request for example.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a run with a baseline: architectures, accuracies, operation scores and costs.

    Where settings, data, versions and machine are the same, every difference is a change. Elsewhere means are compared
    by the test that the report uses, one-sided, corrected for their number. It takes five common seeds, or three in
    each run where they have other seeds.

    Exits with 0 if nothing changed for the worse, with 1 if something did, and with 2 if it cannot be told, and why.

    Example: `opselect check runs/mine --against results/digits201`
    """
    from opselect.bench.gate import compare as gate
    from opselect.bench.runs.run import load_run

    run, baseline = load_run(folder), load_run(against)
    findings = gate.check(run, baseline, level, cost_tolerance, statistical, selector or ())
    if as_json:
        print_json(gate.as_json(findings))
    elif as_markdown:
        print(gate.markdown(findings, str(folder), str(against)), end="")
    else:
        gate.print_findings(findings, str(folder), str(against), page_console())
    if status := gate.status_of(findings):
        raise typer.Exit(status)


def plan(
    folder: RunArgument,
    first: Annotated[str, typer.Option(metavar="LABEL", help="Label of a selector.")],
    second: Annotated[str, typer.Option(metavar="LABEL", help="Label of another one.")],
    difference: Annotated[float, typer.Option(min=1e-6, help="Test accuracy that is to be told apart, in points.")],
    power: Annotated[float, typer.Option(min=0.01, max=0.999, help="Chance to find it.")] = 0.8,
    level: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Chance of a false alarm.")] = 0.05,
    comparisons: Annotated[
        int, typer.Option(min=1, help="How many comparisons there will be, for which the report corrects.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Say how many seeds separate two selectors by a given difference, from a pilot's records.

    By the test that the report uses, which flips the signs of the seeds' differences. It can reach no p-value below
    2 / 2ⁿ with n seeds, times the number of comparisons.

    Example: `opselect plan runs/digits201 --first "zero-cost-pt (nwot)" --second darts-pt --difference 0.5`
    """
    from dataclasses import asdict

    from opselect.bench import power as planning
    from opselect.bench.runs.run import load_run

    size = planning.sample_size(load_run(folder), first, second, difference, power, level, comparisons)
    if as_json:
        print_json(asdict(size))
        return
    needed, bound = (
        f"{count} seeds" if count else f"more than {planning.MOST_SEEDS} seeds"
        for count in (size.seeds, size.seeds_bound)
    )
    print(
        f"pilot, {size.pilot.n} common seeds: {first} is {size.pilot.value:+.2f} points from {second}, "
        f"with a standard deviation of {size.pilot.deviation:.2f}"
    )
    corrected = f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    print(
        f"to find a difference of {difference:g} points with a chance of {power:.0%} (sign-flip test, level "
        f"{level:g}{corrected}): {needed} if that deviation is the true one"
    )
    print(f"it may be up to {size.deviation_bound:.2f} (95 % confidence), which would take {bound}")
    print(f"with fewer than {size.fewest} seeds, no difference can reach that level")


def published(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Folders that 'opselect run' has written; every one in runs by default."),
    ] = None,
    best_acc: Annotated[
        Literal["runs", "means"],
        typer.Option(
            help="What best-acc is the maximum of: single trainings (runs) where records have them, as in the "
            "published code, or mean accuracies."
        ),
    ] = "runs",
    as_json: JsonOption = False,
) -> None:
    """Hold runs and imported tables against the numbers that papers and their code's logs report.

    Each label that has a number's selector, space, proxy and variant (candidates, edge order, tuning) has a row. In
    whatever else it differs, the row says so: images, batches, size and training of supernets and networks, readings of
    the published code. It shows both means with their standard deviations over seeds and numbers of seeds, and their
    difference ± what chance explains in 95 of 100 cases: Student's t by the spreads of both, by the only one that is
    known, or a declared tolerance where none is.

    Verdicts: reproduced (all settings agree, within the ±), differs (all agree, beyond it), inconclusive (within the ±,
    which is as large as the published error or correlation), agrees or differs under other settings, not comparable (a
    time, or a number whose settings are not known; nothing is judged), not run.

    Example: `opselect published runs/mine`
    """
    from opselect.bench.published.compare import compare, supernets_for, tables_for
    from opselect.bench.published.numbers import load_packaged
    from opselect.bench.report.sections.published import print_comparison, row_data, verdict_counts

    numbers = load_packaged()
    rows = compare(numbers, _runs(folders), tables_for(numbers), supernets_for(numbers), best_acc)
    if as_json:
        print_json({"rows": [row_data(row) for row in rows], "verdicts": verdict_counts(rows)})
    else:
        words = (word for row in rows for word in (row.origin or "").split())
        print_comparison(rows, page_console(max(map(len, words), default=0)))


def _runs(folders: list[Path] | None) -> "dict[str, Run]":
    """Read the runs in the folders, or all readable ones in `runs`; the others are named on the error stream."""
    from opselect.bench.runs.records import FILE_NAME
    from opselect.bench.runs.run import load_run

    if folders:
        return {str(folder): load_run(folder) for folder in dict.fromkeys(folders)}
    runs = {}
    for path in sorted(Path("runs").glob(f"*/{FILE_NAME}")):
        try:
            runs[str(path.parent)] = load_run(path.parent)
        except UserError as error:
            print(f"passed over: {error}", file=sys.stderr)
    return runs
