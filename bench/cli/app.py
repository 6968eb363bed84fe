"""The command line. Nothing heavy is imported before a command needs it, so that help comes at once."""

import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opselect.spaces.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from opselect.bench.evaluation.networks import TrainingRecord
    from opselect.bench.experiment.study import Study
    from opselect.bench.published.numbers import Run
    from opselect.bench.runs.runner import Progress
    from opselect.bench.runtime.parallel import Workers
    from opselect.spaces.table import Table

ENDED_BY = (130, 143)
"""Exit statuses of what Ctrl-C and the signal TERM have ended: 128 and the number of the signal."""
PAGE_WIDTH = 118

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare operation selectors for differentiable architecture search on the same supernets.\n\n"
    "Example: `opselect run digits201 && opselect report runs/digits201`",
)
table_app = typer.Typer(
    no_args_is_help=True,
    help="Tables of accuracies.\n\nExample: `opselect table info digits201`",
    rich_markup_mode="markdown",
)
app.add_typer(table_app, name="table")

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


@app.command()
def run(
    experiment: ExperimentArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the records; runs/NAME by default.")
    ] = None,
    workers: WorkersOption = 0,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment, or go on with it: every finished trial is kept at once, and a second run does what is missing.

    A file with several spaces or images is one experiment for each pair of them, in a folder each. Exits with 1 if a
    trial or a training of a selected network failed; its reason is recorded, and the next run tries it again.

    The workers of a cluster must have the same software as this machine, and see the output folder under the same path.

    Example: `opselect run my_experiment.toml --output runs/mine --workers 2`
    """
    from opselect.bench.runs import runner
    from opselect.bench.runs.records import FILE_NAME

    study = _load_study(experiment)
    folder = output or Path("runs") / study.name
    everyone = _workers(workers, backend, scheduler)
    with _progress() as progress:
        summaries = runner.run_study(study, folder, everyone, progress)
    if as_json:
        said = [
            {
                "records": str(folder / name / FILE_NAME),
                "trials": len(summary.records),
                "resumed": summary.resumed,
                "failed": [{"label": r.label, "seed": r.trial.seed, "reason": r.reason} for r in summary.failed],
                "networks": len(summary.networks),
            }
            for name, summary in summaries.items()
        ]
        _print_json(said[0] if list(summaries) == [""] else said)
    else:
        for name, summary in summaries.items():
            done = len(summary.records) - len(summary.failed)
            print(f"{done} of {len(summary.records)} trials done, {summary.resumed} of them before")
            print(f"records: {folder / name / FILE_NAME}")
            for record in summary.failed:
                print(f"failed: {record.label}, seed {record.trial.seed}: {record.reason}", file=sys.stderr)
            if count := len(summary.networks):
                print(f"{count - len(summary.failed_networks)} of {count} networks trained")
    _exit_if_networks_failed(network for summary in summaries.values() for network in summary.networks)
    if any(summary.failed for summary in summaries.values()):
        raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that 'opselect run' has written.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the report; FOLDER/report by default.")
    ] = None,
) -> None:
    """Write tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and one HTML page from the records of a run.

    Of a study, every experiment has its report, and all of them together an overview.

    Example: `opselect report runs/digits201`
    """
    from opselect.bench.report.writing import write_overview, write_report
    from opselect.bench.runs.run import load_run, load_study_run
    from opselect.spaces.files import check_writable

    target = output or folder / "report"
    if (study := load_study_run(folder)) is not None:
        check_writable(target)
        for name, (records, experiment, networks) in study.runs.items():
            write_report(records, experiment.labels, target / name, experiment.title, networks=networks)
        write_overview(study, target)
        print(f"reports: {', '.join(str(target / name / 'report.html') for name in study.runs)}")
        print(f"overview: {target / 'overview.html'} and {target / 'overview.md'}")
        return
    records, experiment, networks = load_run(folder)
    check_writable(target)
    write_report(records, experiment.labels, target, experiment.title, networks=networks)
    print(f"report: {target / 'report.html'} and {target / 'report.md'}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that 'opselect run' has written.")],
    against: Annotated[Path, typer.Option(metavar="BASELINE", help="Another one, which is trusted.")],
    level: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Chance of any false alarm, over all selectors and measures.")
    ] = 0.05,
    cost_tolerance: Annotated[
        float, typer.Option(min=1.0, help="How many times slower a search may be on the same processor.")
    ] = 2.0,
    statistical: Annotated[
        bool, typer.Option("--statistical", help="Judge means even where records should be equal to the last bit.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a run with a baseline: architectures, accuracies, operation scores and costs.

    Where settings, data, versions and machine are the same, every difference is a change. Elsewhere means are compared,
    with p-values corrected for their number. Prints Markdown for a pull request.

    Exits with 0 if nothing changed for the worse, with 1 if something did, and with 2 if it cannot be told, and why.

    Example: `opselect check runs/mine --against results/digits201`
    """
    from dataclasses import asdict

    from opselect.bench.gate import compare as checking

    (run,), (baseline,) = _runs([folder]), _runs([against])
    findings = checking.check(run.trials, baseline.trials, level, cost_tolerance, statistical)
    if as_json:
        _print_json({"status": checking.status_of(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        print(checking.markdown(findings, str(folder), str(against)), end="")
    if status := checking.status_of(findings):
        raise typer.Exit(status)


@app.command()
def reproduce(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that 'opselect run' has written.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the new records; runs/RUN-reproduced by default.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--selector", help="Label of one to repeat; may be repeated. All by default.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="One to repeat; may be repeated. All by default.")] = None,
    workers: WorkersOption = 0,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a finished experiment again from the description that its folder keeps, and say what came out equal.

    Exits with 0 if everything did, with 1 if something differs that only the code can have changed, and with 2 if
    versions, data or machines differ, which may be why. Called again, it goes on where it was stopped.

    Example: `opselect reproduce results/digits201 --selector random --seed 0`
    """
    from dataclasses import asdict

    from opselect.bench.gate.reproduce import reproduce, summary_text

    target = output or Path("runs") / f"{folder.resolve().name}-reproduced"
    everyone = _workers(workers, backend, scheduler)
    with _progress() as progress:
        found = reproduce(folder, target, everyone, progress, label or (), seed or ())
    if as_json:
        _print_json({name: {"status": each.status, **asdict(each)} for name, each in found.items()})
    else:
        print(summary_text(found))
        print(f"records: {target}")
    statuses = {each.status for each in found.values()}
    if statuses != {0}:
        raise typer.Exit(1 if 1 in statuses else 2)


@app.command()
def plan(
    folder: Annotated[Path, typer.Argument(metavar="PILOT", help="A folder that 'opselect run' has written.")],
    first: Annotated[str, typer.Option(help="Label of a selector.")],
    second: Annotated[str, typer.Option(help="Label of another one.")],
    difference: Annotated[float, typer.Option(min=1e-6, help="Test accuracy that is to be told apart, in points.")],
    power: Annotated[float, typer.Option(min=0.01, max=0.999, help="Chance to find it.")] = 0.8,
    level: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Chance of a false alarm.")] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Say how many seeds separate two selectors by a given difference, from a pilot's records.

    Example: `opselect plan runs/mine --first zero-cost-pt --second darts-pt --difference 0.5`
    """
    from dataclasses import asdict

    from opselect.bench import power as planning

    (pilot,) = _runs([folder])
    found = planning.sample_size(pilot.trials, first, second, difference, power, level)
    if as_json:
        _print_json(asdict(found))
        return
    needed, bound = (
        f"{count} seeds" if count else f"more than {planning.MOST_SEEDS} seeds"
        for count in (found.seeds, found.seeds_bound)
    )
    print(
        f"pilot, {found.pilot.n} common seeds: {first} is {found.pilot.value:+.2f} points from {second}, "
        f"with a standard deviation of {found.pilot.deviation:.2f}"
    )
    print(
        f"to find a difference of {difference:g} points with a chance of {power:.0%} (paired t test, level {level:g}): "
        f"{needed} if that deviation is the true one"
    )
    print(f"it may be up to {found.deviation_bound:.2f} (95 % confidence), which would take {bound}")


@app.command("list")
def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="spaces, images, tables, selectors, scores, proxies or combinations, by default all of these; "
            "or genotypes."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is registered, from this package and from installed plug-ins; or the published genotypes.

    Example: `opselect list proxies`
    """
    from opselect.spaces import registry
    from opselect.spaces.darts.genotypes import library
    from opselect.spaces.files import imported_tables

    kinds = (*registry.KINDS, "genotypes")
    if kind is not None and kind not in kinds:
        raise registry.UnknownName(f"no kind of things named {kind!r}{registry.did_you_mean(kind, kinds)}")
    if kind == "genotypes":
        found = {kind: tuple(library())}
    else:
        found = {each: registry.names(each) for each in ([kind] if kind else registry.KINDS)}
    if "tables" in found:
        found["tables"] = tuple(sorted(imported_tables().union(found["tables"])))
    if as_json:
        _print_json(found)
    else:
        for each, names in found.items():
            print(f"{each}: {', '.join(names)}")


@app.command()
def conformance(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Anything that 'opselect list' shows.")],
    kind: Annotated[
        str | None, typer.Option(help="selectors, proxies, ...: which of the parts with this name; all by default.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the selector as KEY=VALUE; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check what a selector, score, proxy, combination, space, table or images promise; plug-ins and ours alike.

    Prints a line for each promise: kept, broken and how to mend it, or not applicable and why. Runs on digits201, on
    the CPU, in seconds. Exits with 1 if a promise is broken.

    Example: `opselect conformance zero-cost-pt --set proxy=synflow`
    """
    from dataclasses import asdict

    from opselect.bench.conformance import run as conforming
    from opselect.bench.runs.run import parsed_setting
    from opselect.spaces import registry

    if kind is not None and kind not in registry.KINDS:
        raise registry.UnknownName(f"no kind of things named {kind!r}{registry.did_you_mean(kind, registry.KINDS)}")
    changes = dict(parsed_setting(text, "proxy=nwot") for text in settings or [])
    outcomes = []
    for each in conforming.kinds_of(name) if kind is None else (kind,):
        found = conforming.examine(each, name, changes if each == "selectors" else {})
        for number, outcome in enumerate(found):
            outcomes.append(outcome)
            if not as_json:
                heading = f"{registry.SINGULAR[each]} {name}\n" if number == 0 else ""
                print(f"{heading}  {conforming.line_of(outcome)}", flush=True)
    if as_json:
        _print_json([asdict(outcome) for outcome in outcomes])
    if any(outcome.status == "broken" for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def select(
    selector: Annotated[str, typer.Argument(help="A registered selector, or a label of the experiment.")],
    experiment: Annotated[
        str, typer.Option("--experiment", "-e", help="Where space, images, table and supernet come from.")
    ] = "digits201",
    seed: Annotated[int, typer.Option(min=0, help="The trial's seed.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the selector as KEY=VALUE; may be repeated.")
    ] = None,
    supernets: Annotated[Path, typer.Option(help="Folder where trained supernets are kept.")] = Path("runs/supernets"),
    as_json: JsonOption = False,
) -> None:
    """Run one selector with one seed; print the architecture and its accuracy in the table.

    Example: `opselect select zero-cost-pt --seed 1 --set proxy=synflow --set batch_size=64`
    """
    from opselect.bench.runs.run import select_once

    loaded = _load_study(experiment).only
    record = select_once(loaded, selector, seed, settings or [], supernets)
    if as_json:
        print(record.model_dump_json(indent=2))
    elif record.result is not None and record.cost is not None:
        print(record.result.architecture)
        if record.result.test_accuracy is not None:
            print(
                f"validation {record.result.valid_accuracy:.2f} %, test {record.result.test_accuracy:.2f} %, "
                f"regret {record.result.regret:.2f} points, better than {record.result.percentile:.1f} % of the table"
            )
        print(f"search {record.cost.search_seconds:.1f} s, {record.cost.evaluations} score evaluations")
    if record.status == "failed":
        print(f"opselect: {record.label}, seed {seed}: {record.reason}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def proxies(
    table: Annotated[str, typer.Option(help="Accuracies: a table by name, or a Parquet file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the scores and the report.")],
    space: Annotated[str, typer.Option(help="Whose stand-alone networks are scored.")] = "nasbench201",
    images: Annotated[str, typer.Option(help="Images by name, or an .npz file.")] = "cifar10",
    sample: Annotated[
        int | None, typer.Option(min=10, help="How many architectures, each equally likely; all by default.")
    ] = None,
    proxy: Annotated[
        list[str] | None, typer.Option("--proxy", "-p", help="A proxy; may be repeated. All by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Images of the one batch that all networks see.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of sample, batch and initial parameters.")] = 0,
    workers: WorkersOption = 0,
) -> None:
    """Score stand-alone networks by zero-cost proxies, and report how the scores agree with true accuracies.

    Every finished network is kept at once, the same command goes on from there, and more architectures or proxies may
    be asked for later. Equal architectures are scored once.

    Example: `opselect proxies --space digits201 --images digits --table digits201 --sample 500 --output runs/proxies`
    """
    from opselect.bench import proxy_study
    from opselect.bench.report.proxies import write_proxy_report
    from opselect.spaces import registry

    names = tuple(dict.fromkeys(proxy or registry.names("proxies")))
    for kind, chosen in (("proxies", names), ("spaces", (space,))):
        for name in chosen:
            registry.load(kind, name)
    accuracies = _load_table(table)
    study = proxy_study.describe(space, images, batch_size, seed)
    with _progress() as progress:
        scores = proxy_study.score_architectures(study, sample, names, output, _worker_count(workers), progress)
    write_proxy_report(scores, accuracies, output)
    print(f"scores: {output / proxy_study.FILE_NAME}")
    print(f"report: {output / 'proxies.html'} and {output / 'proxies.md'}")


@app.command()
def train(
    genotype: Annotated[
        str, typer.Argument(metavar="GENOTYPE", help="A published one by name (DARTS_V2), a file, or the text itself.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the records and checkpoints.")],
    space: Annotated[str, typer.Option(help="Whose genotype it is.")] = "darts",
    images: Annotated[str, typer.Option(help="Images by name, or an .npz file.")] = "cifar10",
    channels: Annotated[int, typer.Option(min=1, help="Of the edges in the first cell.")] = 36,
    cells: Annotated[int, typer.Option(min=3, help="In all; two of them halve the size.")] = 20,
    stem: Annotated[str, typer.Option(help="cifar, or imagenet for images of its size.")] = "cifar",
    seed: Annotated[list[int] | None, typer.Option(min=0, help="May be repeated; 0 by default.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the training as KEY=VALUE; may be repeated.")
    ] = None,
    training_images: Annotated[
        int | None, typer.Option(min=2, help="Train on so many of the images only, the first ones.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: WorkersOption = 1,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the network of a genotype from nothing, by the protocol of the DARTS papers unless settings say otherwise.

    A checkpoint is written after every epoch, and the same command goes on from there; on the CPU a training that was
    interrupted ends with the same numbers as one that was not. Exits with 1 if a training failed; its reason is
    recorded, and the next call tries it again.

    Example: `opselect train DARTS_V2 --images cifar10 --seed 0 --seed 1 --output runs/darts_v2`
    """
    from opselect.bench.evaluation import networks as trainings
    from opselect.bench.experiment.file import NetworkChoice, checked_settings
    from opselect.bench.runs.run import parsed_setting
    from opselect.bench.statistics import mean_interval
    from opselect.spaces.darts.genotypes import format_genotype
    from opselect.spaces.registry import UnknownName, did_you_mean

    for given, known in ((stem, ("cifar", "imagenet")), (device, ("cpu", "cuda"))):
        if given not in known:
            raise UnknownName(f"{given!r} is neither {' nor '.join(known)}{did_you_mean(given, known)}")
    sizes = {"channels": channels, "cells": cells, "stem": stem, "seeds": list(dict.fromkeys(seed or [0]))}
    changes = dict(parsed_setting(text, "epochs=60") for text in settings or [])
    choice: NetworkChoice = checked_settings(NetworkChoice, sizes | changes, "train, --set")
    chosen = format_genotype(trainings.genotype_named(genotype))
    networks = trainings.describe(space, [chosen], images, training_images, choice, device)
    everyone = _workers(workers, backend, scheduler)
    with _progress() as progress:
        records = trainings.train_all(
            networks,
            output,
            everyone,
            progress,
            lambda network, now: progress(f"epochs of seed {network.seed}", now.epoch, choice.epochs),
        )
    results = {record.network.seed: record.result for record in records if record.result is not None}
    if as_json:
        _print_json([record.model_dump(mode="json") for record in records])
    else:
        for first in list(results.values())[:1]:
            print(f"{first.parameters:,} parameters, {first.multiply_adds:,} multiply-adds for one image")
        for each, result in results.items():
            print(f"seed {each}: test accuracy {result.last:.2f} %, best of all epochs {result.best:.2f} %")
        if len(results) > 1:
            for what in ("last", "best"):
                mean = mean_interval(getattr(result, what) for result in results.values())
                print(f"{what}: {mean.value:.2f} ± {mean.deviation:.2f} % over {mean.n} seeds")
        print(f"records: {output / trainings.FILE_NAME}")
    _exit_if_networks_failed(records)


@app.command()
def draw(
    architecture: Annotated[
        str, typer.Argument(metavar="GENOTYPE", help="A published one by name (DARTS_V2), a file, or the text itself.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .pdf, .png or .svg file.")],
    space: Annotated[str, typer.Option(help="Whose architecture it is; arch strings of nasbench201 do as well.")] = (
        "darts"
    ),
    title: Annotated[str, typer.Option(help="Above the cells; papers have captions instead.")] = "",
) -> None:
    """Draw the cells of an architecture as graphs that a paper can print.

    Example: `opselect draw DARTS_V2 --output darts_v2.pdf`
    """
    from opselect.bench.evaluation.networks import architecture_named
    from opselect.bench.report.figures import cells_drawn
    from opselect.bench.report.writing import write_file
    from opselect.spaces.registry import UnknownName, did_you_mean, load

    kind, kinds = output.suffix.removeprefix("."), ("pdf", "png", "svg")
    if kind not in kinds:
        raise UnknownName(f"{output}: a file of kind {kind!r}{did_you_mean(kind, kinds)}")
    loaded = load("spaces", space)
    (content,) = cells_drawn(loaded, architecture_named(architecture, loaded), (kind,), title)
    print(f"figure: {write_file(output, content)}")


@app.command()
def published(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER ...]", help="Folders that 'opselect run' has written; every one in runs by default."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold runs and imported tables against the numbers that papers and their code's logs report.

    Says for each number whether ours reproduces it, differs, or is not there and why. Where several runs fit a number,
    each has a row of its own.

    Example: `opselect published runs/mine`
    """
    from opselect.bench.published import numbers as comparison
    from opselect.bench.report import published as printing

    numbers = comparison.load_packaged()
    rows = comparison.compare(
        numbers, _runs(folders), comparison.tables_for(numbers), comparison.supernets_for(numbers)
    )
    if as_json:
        _print_json({"rows": [printing.plain(row) for row in rows], "verdicts": printing.count(rows)})
    else:
        printing.show(rows, _console())


@table_app.command("build")
def table_build(
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
    with _progress() as progress:
        table = table_building.build_digits201(
            checkpoint, limit, _worker_count(workers), lambda done, total: progress("cells", done, total)
        )
    if table is None:
        print(f"not all cells are trained yet; {checkpoint} holds those that are")
        return
    table.write(output)
    print(f"table: {output}")


@table_app.command("import")
def table_import(
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
    with _progress() as progress:
        table = import_nasbench201(source, lambda done, total: progress("import", done, total), _worker_count(workers))
    table.write(target)
    print(_contents(table))
    print(f"\ntable: {target}")


@table_app.command("compare")
def table_compare(
    first: Annotated[str, typer.Argument(help="A table by name, or a Parquet file.")],
    second: Annotated[str, typer.Argument(help="Another one of the same space.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two tables where they hold the same thing: coverage, disagreement, rank correlation, means over seeds.

    Example: `opselect table compare nasbench201 mine.parquet`
    """
    from dataclasses import asdict

    from opselect.bench.tables.compare import compare, comparison_text

    rows = compare(_load_table(first), _load_table(second))
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        print(comparison_text(rows))


@table_app.command("info")
def table_info(
    name: Annotated[str, typer.Argument(help="A registered table, or a Parquet file.")], as_json: JsonOption = False
) -> None:
    """Say what a table holds and how it was made.

    Example: `opselect table info digits201`
    """
    table = _load_table(name)
    if as_json:
        _print_json(
            {"space": table.space.name, "provenance": table.provenance, "contents": table.contents().to_dict("records")}
        )
        return
    print(f"space: {table.space.name}\nfingerprint: {table.fingerprint}\n")
    print(_contents(table))
    print("\nhow it was made:")
    for key, value in table.provenance.items():
        print(f"  {key}: {json.dumps(value) if isinstance(value, dict | list) else value}")


@table_app.command("query")
def table_query(
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

    table = _load_table(name)
    policy: Any = int(seeds) if seeds.isdecimal() else seeds
    if policy not in ("mean", "each") and not isinstance(policy, int):
        raise NotInTable(f"--seeds {seeds!r}, expected mean, each, or the number of a seed")
    value = table.accuracy(table.space.parse(architecture), dataset, split, epochs, policy)
    if as_json:
        _print_json({"architecture": architecture, "accuracy": value})
    else:
        print(" ".join(f"{number:.4f}" for number in (value if isinstance(value, tuple) else (value,))))


def _exit_if_networks_failed(records: "Iterable[TrainingRecord]") -> None:
    """Say which trainings failed and why, and end with status 1 if there are any."""
    failed = [record for record in records if record.result is None]
    for record in failed:
        print(
            f"failed: training of {record.network.genotype}, seed {record.network.seed}: {record.reason}",
            file=sys.stderr,
        )
    if failed:
        raise typer.Exit(1)


def _load_study(name: str) -> "Study":
    """What is in an experiment file, or in a shipped one by name."""
    from opselect.bench.experiment.file import InvalidExperiment
    from opselect.bench.experiment.study import read_study
    from opselect.spaces.files import is_file
    from opselect.spaces.registry import did_you_mean

    shipped = Path(__file__).parents[1] / "experiment" / "packaged"
    names = tuple(sorted(path.stem for path in shipped.glob("*.toml")))
    path = shipped / f"{name}.toml" if name in names else Path(name)
    if not is_file(path):
        raise InvalidExperiment(
            f"{name}: no such file, and no experiment of that name is shipped{did_you_mean(name, names)}"
        )
    return read_study(path)


def _runs(folders: list[Path] | None) -> "list[Run]":
    """The runs in the folders, or in those of `runs` that can be read; the others are named on the error stream."""
    from opselect.bench.published.numbers import Run
    from opselect.bench.runs.records import FILE_NAME
    from opselect.bench.runs.run import load_run

    def read(folder: Path) -> Run:
        return Run(str(folder), load_run(folder).trials)

    if folders:
        return [read(folder) for folder in dict.fromkeys(folders)]
    runs = []
    for path in sorted(Path("runs").glob(f"*/{FILE_NAME}")):
        try:
            runs.append(read(path.parent))
        except UserError as error:
            print(f"passed over: {error}", file=sys.stderr)
    return runs


def _console() -> "Console":
    """The output; where it is no terminal, lines are of a length that fits a page."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=PAGE_WIDTH)


def _contents(table: "Table") -> str:
    """What a table holds, one line a column of accuracies; how many architectures each one lacks."""
    return table.contents().to_string(index=False, float_format="%.2f")


def _load_table(name: str) -> "Table":
    from opselect.spaces.table import load

    return load(name)


def _worker_count(workers: int) -> int:
    from opselect.bench.runtime.parallel import available_cores

    return workers or available_cores()


def _workers(count: int, backend: str, scheduler: str | None) -> "Workers":
    """Who does the work; a cluster is asked whether it can before anything else happens."""
    from opselect.bench.runtime.dask_cluster import Cluster, UnusableCluster, connected
    from opselect.spaces.registry import UnknownName, did_you_mean

    backends = ("local", "dask")
    if backend not in backends:
        raise UnknownName(f"no backend named {backend!r}{did_you_mean(backend, backends)}")
    if backend == "local":
        if scheduler is not None:
            raise UnusableCluster(f"--scheduler {scheduler} without a cluster; add --backend dask")
        return _worker_count(count)
    if scheduler is None:
        raise UnusableCluster("--backend dask without a scheduler; add --scheduler and the address that it prints")
    if count > 1:
        raise UnusableCluster(
            f"--workers {count} with --backend dask; a cluster works with all the workers that it has"
        )
    with connected(cluster := Cluster(scheduler)):
        return cluster


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A progress bar a kind of work on the error stream; where that is no terminal, a line now and then."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        printed: dict[str, int] = {}

        def print_line(what: str, done: int, total: int) -> None:
            tenth = 10 * done // max(total, 1)
            if printed.get(what) != tenth:
                printed[what] = tenth
                print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)

        yield print_line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield update


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def main() -> None:
    """Run the command line; what the user can mend is one sentence on the error stream and exit status 2.

    Ctrl-C and the signal TERM end it with 130 and 143, as shells expect, and a sentence about how to go on.
    """
    try:
        with _ending_cleanly():
            app()
    except UserError as error:
        print(f"opselect: {error}", file=sys.stderr)
    except OSError as error:
        print(f"opselect: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
    except SystemExit as end:
        if end.code in ENDED_BY:
            again = shlex.join(["opselect", *sys.argv[1:]])
            print(
                f"opselect: stopped; what was finished is kept, the same command goes on from there: {again}",
                file=sys.stderr,
            )
        raise
    else:
        return
    sys.exit(2)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Let the first Ctrl-C or TERM end the block, and nothing disturb what it does at its end, a second or two."""

    def end(number: int, _: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    # What is ignored stays so: nohup and scripts want it. Only the main thread may say what signals do.
    ours = threading.current_thread() is threading.main_thread()
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if ours and (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        # One that has come is ignored up to the end of the process.
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)


if __name__ == "__main__":
    main()
