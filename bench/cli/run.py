"""Commands that run selectors and report what came out: run, report, select and reproduce."""

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opselect.bench.cli import complete
from opselect.bench.cli.options import (
    BackendOption,
    ColumnsOption,
    DeviceOption,
    ExperimentArgument,
    JsonOption,
    LayoutOption,
    NotesOption,
    PresetOption,
    QuietOption,
    RunArgument,
    SchedulerOption,
    SeedsOption,
    SelectorsOption,
    SettingsOption,
    WorkersOption,
    load_study,
    steps_at_a_time,
    worker_count,
    workers_of,
)
from opselect.bench.cli.output import exit_if_networks_failed, page_console, print_json, print_summary
from opselect.bench.cli.progress import clock_time, progress_display

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opselect.bench.runs.plan import Past, Plan
    from opselect.bench.runs.runner import Summary
    from opselect.bench.runtime.forecast import Kind


def run(
    experiment: ExperimentArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Folder of the records; runs/NAME by default.")
    ] = None,
    selector: SelectorsOption = None,
    seed: SeedsOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = 0,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run, and how long it takes by past records.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment, or go on with it: every finished trial is kept at once, and a second run does what is missing.

    A file with several spaces or images is one experiment for each pair of them, in a folder each. Exits with 1 if a
    trial or a training of a selected network failed; its reason is recorded, and the next run tries it again.

    The workers of a cluster must have the same software as this machine, and see the output folder under the same path.

    Example: `opselect run my_experiment.toml --output runs/mine --workers 2`
    """
    with progress_display(f"reading {experiment}", quiet) as progress:
        whole = load_study(experiment, device)

        from opselect.bench.experiment.study import narrowed_study
        from opselect.bench.runs import plan, runner
        from opselect.bench.runs.records import FILE_NAME

        study = narrowed_study(whole, selector or (), seed or ())
        folder = output or Path("runs") / study.name
        pool = worker_count(workers) if dry_run and backend == "local" else workers_of(workers, backend, scheduler)
        plans = plan.plan_experiments(study.experiments, folder)
        past = plan.past_steps(plans)
        progress.forecast = plan.forecast(plans, past, steps_at_a_time(pool))
        if not dry_run:
            summaries = runner.run_study(study, folder, pool, progress, progress.forecast.finish)
    if dry_run:
        _print_plans(plans, past, steps_at_a_time(pool), as_json)
        return
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
    for name, summary in summaries.items():
        for record in summary.failed:
            print(f"failed: {record.label}, seed {record.trial.seed}: {record.reason}", file=sys.stderr)
        if not as_json:
            _print_outcome(folder / name, summary, with_table=not quiet)
    if not as_json and not quiet:
        print(f"next: {shlex.join(['opselect', 'report', str(folder)])}")
    exit_if_networks_failed(network for summary in summaries.values() for network in summary.networks)
    if any(summary.failed for summary in summaries.values()):
        raise typer.Exit(1)


def _print_outcome(folder: Path, summary: "Summary", with_table: bool) -> None:
    """Print how many trials of an experiment are done, and its main table where that is wanted."""
    from opselect.bench.runs.records import FILE_NAME
    from opselect.bench.runs.run import load_run

    done = len(summary.records) - len(summary.failed)
    print(f"{done} of {len(summary.records)} trials done, {summary.resumed} of them before")
    print(f"records: {folder / FILE_NAME}")
    if count := len(summary.networks):
        print(f"{count - len(summary.failed_networks)} of {count} networks trained")
    if with_table:
        print_summary(load_run(folder))
        print()


def _print_plans(plans: "Sequence[Plan]", past: "Mapping[Kind, Past]", workers: int, as_json: bool) -> None:
    """Print what a run would do, how long it takes, and where that estimate is from."""
    from opselect.bench.report.formatting import listing
    from opselect.bench.report.render import terminal
    from opselect.bench.report.sections.plan import plan_data, plan_table, unknown_kinds
    from opselect.bench.runs.plan import forecast, sources

    remaining = forecast(plans, past, workers).remaining()
    if as_json:
        print_json(
            {
                "experiments": [plan_data(plan, past) for plan in plans],
                "workers": workers,
                "remaining": None if remaining is None else remaining._asdict(),
                "estimated_from": sources(past.values()),
            }
        )
        return
    for plan in plans:
        data = plan_data(plan, past)
        print(f"{data['name']}: {data['trials']} trials would run, {data['done']} are done, in {plan.folder}")
        page_console().print(terminal(plan_table(plan, past)))
        print()
    if not any(plan.steps for plan in plans):
        print("nothing is left to run")
        return
    unknown = unknown_kinds(plans, past)
    if remaining is None:
        print("how long it takes is not known: there are no records of such trials here")
        return
    how, where = "at least" if unknown else "about", "; ".join(sources(past.values()))
    with_workers = f"with {workers} worker{'s' if workers > 1 else ''}"
    print(f"{how} {clock_time(remaining.seconds)} {with_workers}, by the records of {where}")
    if unknown:
        print(f"not known, for want of records: {listing(unknown)}")


def report(
    folder: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Folder of the report; RUN/report by default.")
    ] = None,
    layout: LayoutOption = None,
    preset: PresetOption = None,
    columns: ColumnsOption = "",
    notes: NotesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and one HTML page from the records of a run.

    Of a study, every experiment has its report, and all of them together an overview.

    Example: `opselect report runs/digits201 --preset icml --columns test_accuracy,regret`
    """
    from opselect.bench.report.latex import paper_of
    from opselect.bench.report.page import write_report, write_study
    from opselect.bench.report.sections.summary import summary_rows
    from opselect.bench.runs.run import load_run, load_study_run
    from opselect.spaces.files import check_writable

    paper = paper_of(layout, preset, filter(None, map(str.strip, columns.split(","))), notes)
    target = output or folder / "report"
    study = load_study_run(folder)
    runs = {"": load_run(folder)} if study is None else study.runs
    check_writable(target)
    pages = [target / name / "report.html" for name in runs]
    if study is None:
        write_report(runs[""], target, paper)
    else:
        write_study(study, target, paper)
        pages.insert(0, target / "overview.html")
    if as_json:
        selectors = {name: [asdict(row) for row in summary_rows(run)] for name, run in runs.items()}
        print_json(
            {
                "pages": list(map(str, pages)),
                "missing": {name: run.missing for name, run in runs.items()},
                "selectors": selectors,
            }
        )
        return
    for run in runs.values():
        print_summary(run)
    print()
    if study is not None:
        print(f"reports: {', '.join(map(str, pages[1:]))}")
    kind = "report" if study is None else "overview"
    print(f"{kind}: {pages[0]} and {pages[0].with_suffix('.md')}")
    print(f"next: open {pages[0]} in a browser, or {shlex.join(['opselect', 'published', str(folder)])}")


def select(
    selector: Annotated[
        str,
        typer.Argument(
            metavar="SELECTOR",
            help="A registered selector, or a label of the experiment.",
            autocompletion=complete.selectors,
        ),
    ],
    experiment: Annotated[
        str,
        typer.Option(
            "--experiment",
            "-e",
            metavar="EXPERIMENT",
            help="Where space, images, table and supernet come from.",
            autocompletion=complete.experiments,
        ),
    ] = "digits201",
    seed: Annotated[int, typer.Option(min=0, metavar="SEED", help="The trial's seed.")] = 0,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    supernets: Annotated[Path, typer.Option(metavar="PATH", help="Folder where trained supernets are kept.")] = Path(
        "runs/supernets"
    ),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run one selector with one seed; print the architecture and its accuracy in the table.

    Example: `opselect select zero-cost-pt --seed 1 --set proxy=synflow --set batch_size=64`
    """
    with progress_display(f"reading {experiment}", quiet) as progress:
        loaded = load_study(experiment, device).only

        from opselect.bench.runs import plan
        from opselect.bench.runs.select import parse_setting, run_alone, trial_named

        changes = dict(parse_setting(text, "proxy=synflow") for text in settings or [])
        trial = trial_named(loaded, selector, seed, changes, supernets)
        progress.forecast = plan.trial_forecast(trial)
        record = run_alone(trial, progress, progress.forecast.finish)
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
    folder: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Folder of the new records; runs/RUN-reproduced by default."
        ),
    ] = None,
    selector: SelectorsOption = None,
    seed: SeedsOption = None,
    workers: WorkersOption = 0,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a finished experiment again from the description that its folder keeps, and say what came out equal.

    Exits with 0 if everything did, with 1 if something differs that only the code can have changed, and with 2 if
    versions, data or machines differ, which may be why. Called again, it goes on where it was stopped.

    Example: `opselect reproduce results/digits201 --selector random --seed 0`
    """
    target = output or Path("runs") / f"{folder.resolve().name}-reproduced"
    with progress_display(f"reading {folder}", quiet) as progress:
        from opselect.bench.gate.reproduce import repetition_of, reproduce, summary_text
        from opselect.bench.runs import plan

        repetition = repetition_of(folder, target, selector or (), seed or ())
        pool = workers_of(workers, backend, scheduler)
        plans = plan.plan_experiments(repetition.experiments, target)
        progress.forecast = plan.forecast(plans, plan.past_steps(plans, folder), steps_at_a_time(pool))
        reproductions = reproduce(repetition, target, pool, progress, progress.forecast.finish)
    if as_json:
        print_json({name: {"status": outcome.status, **asdict(outcome)} for name, outcome in reproductions.items()})
    else:
        print(summary_text(reproductions))
        print(f"records: {target}")
    statuses = {outcome.status for outcome in reproductions.values()}
    if statuses != {0}:
        raise typer.Exit(1 if 1 in statuses else 2)
