"""Commands that run selectors and report what came out: run, report, select and reproduce."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from opselect.bench.cli.options import (
    BackendOption,
    ColumnsOption,
    ExperimentArgument,
    JsonOption,
    LayoutOption,
    NotesOption,
    PresetOption,
    SchedulerOption,
    WorkersOption,
    load_study,
    workers_of,
)
from opselect.bench.cli.output import exit_if_networks_failed, print_json, progress_bars


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

    study = load_study(experiment)
    folder = output or Path("runs") / study.name
    pool = workers_of(workers, backend, scheduler)
    with progress_bars() as progress:
        summaries = runner.run_study(study, folder, pool, progress)
    if as_json:
        reports = [
            {
                "records": str(folder / name / FILE_NAME),
                "trials": len(summary.records),
                "resumed": summary.resumed,
                "failed": [{"label": r.label, "seed": r.trial.seed, "reason": r.reason} for r in summary.failed],
                "networks": len(summary.networks),
            }
            for name, summary in summaries.items()
        ]
        print_json(reports[0] if list(summaries) == [""] else reports)
    else:
        for name, summary in summaries.items():
            done = len(summary.records) - len(summary.failed)
            print(f"{done} of {len(summary.records)} trials done, {summary.resumed} of them before")
            print(f"records: {folder / name / FILE_NAME}")
            for record in summary.failed:
                print(f"failed: {record.label}, seed {record.trial.seed}: {record.reason}", file=sys.stderr)
            if count := len(summary.networks):
                print(f"{count - len(summary.failed_networks)} of {count} networks trained")
    exit_if_networks_failed(network for summary in summaries.values() for network in summary.networks)
    if any(summary.failed for summary in summaries.values()):
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that 'opselect run' has written.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the report; FOLDER/report by default.")
    ] = None,
    layout: LayoutOption = None,
    preset: PresetOption = None,
    columns: ColumnsOption = "",
    notes: NotesOption = False,
) -> None:
    """Write tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and one HTML page from the records of a run.

    Of a study, every experiment has its report, and all of them together an overview.

    Example: `opselect report runs/digits201 --preset icml --columns test_accuracy,regret`
    """
    from opselect.bench.report.latex import paper_of
    from opselect.bench.report.page import write_report, write_study
    from opselect.bench.runs.run import load_run, load_study_run
    from opselect.spaces.files import check_writable

    paper = paper_of(layout, preset, filter(None, map(str.strip, columns.split(","))), notes)
    target = output or folder / "report"
    if (study := load_study_run(folder)) is not None:
        check_writable(target)
        write_study(study, target, paper)
        print(f"reports: {', '.join(str(target / name / 'report.html') for name in study.runs)}")
        print(f"overview: {target / 'overview.html'} and {target / 'overview.md'}")
        return
    run = load_run(folder)
    check_writable(target)
    write_report(run, target, paper)
    print(f"report: {target / 'report.html'} and {target / 'report.md'}")


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
    from opselect.bench.runs.select import select_once

    loaded = load_study(experiment).only
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
    pool = workers_of(workers, backend, scheduler)
    with progress_bars() as progress:
        reproductions = reproduce(folder, target, pool, progress, label or (), seed or ())
    if as_json:
        print_json({name: {"status": outcome.status, **asdict(outcome)} for name, outcome in reproductions.items()})
    else:
        print(summary_text(reproductions))
        print(f"records: {target}")
    statuses = {outcome.status for outcome in reproductions.values()}
    if statuses != {0}:
        raise typer.Exit(1 if 1 in statuses else 2)
