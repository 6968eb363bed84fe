"""Commands about stand-alone networks: proxies scores them, train trains them, draw draws their cells."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from opselect.bench.cli import complete
from opselect.bench.cli.options import (
    BackendOption,
    ImagesOption,
    JsonOption,
    QuietOption,
    SchedulerOption,
    SettingsOption,
    WorkersOption,
    check_known,
    load_table,
    steps_at_a_time,
    worker_count,
    workers_of,
)
from opselect.bench.cli.output import exit_if_networks_failed, page_console, print_json
from opselect.bench.cli.progress import progress_display
from opselect.bench.runtime.forecast import Kind

ArchitectureArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARCHITECTURE",
        help="A published genotype by name (DARTS_V2), a file, or the text itself.",
        autocompletion=complete.genotypes,
    ),
]


def proxies(
    table: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="Accuracies: a table by name, or a Parquet file.",
            autocompletion=complete.tables,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Folder of the scores and the report; runs/proxies-TABLE by default."
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="SPACE",
            help="Whose stand-alone networks are scored; the table's own space by default.",
            autocompletion=complete.spaces,
        ),
    ] = None,
    images: ImagesOption = "cifar10",
    sample: Annotated[
        int | None,
        typer.Option(min=10, metavar="COUNT", help="How many architectures, each equally likely; all by default."),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy",
            "-p",
            metavar="PROXY",
            help="A proxy; may be repeated. All by default.",
            autocompletion=complete.proxies,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=2, metavar="COUNT", help="Images of the one batch that all networks see.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, metavar="SEED", help="Of sample, batch and initial parameters.")] = 0,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score stand-alone networks by zero-cost proxies, and report how the scores agree with true accuracies.

    Every finished network is kept at once, the same command goes on from there, and more architectures or proxies may
    be asked for later. Equal architectures are scored once.

    Example: `opselect proxies --table digits201 --images digits --sample 500 --output runs/proxies`
    """
    from opselect.spaces import registry

    names = tuple(dict.fromkeys(proxy or registry.names("proxies")))
    for name in names:
        registry.origin("proxies", name)
    with progress_display(f"reading {table}", quiet) as progress:
        from opselect.bench import proxy_study
        from opselect.bench.report.page import write_proxy_report
        from opselect.bench.report.render import terminal
        from opselect.bench.report.sections.proxies import proxy_tables

        for name in names:
            registry.load("proxies", name)
        scored = None if space is None else registry.load("spaces", space)
        accuracies = load_table(table)
        if scored is not None and scored.edges != accuracies.space.edges:
            raise proxy_study.UnfitTable(
                f"{table!r} is a table of {accuracies.space.name}, which has other edges than {space}; leave out "
                "--space"
            )
        folder = output or Path("runs") / f"proxies-{Path(table).stem}"
        study = proxy_study.describe(space or accuracies.space.name, images, batch_size, seed)
        scores = proxy_study.score_architectures(study, sample, names, folder, worker_count(workers), progress)
        write_proxy_report(scores, accuracies, folder)
    if as_json:
        rows = {table.title: [asdict(row) for row in table.data] for table in proxy_tables(scores, accuracies)}
        print_json({"scores": str(folder / proxy_study.FILE_NAME), "agreement": rows})
        return
    if not quiet:
        # The last column is that of the most epochs; the report has them all.
        for agreement in proxy_tables(scores, accuracies)[-1:]:
            print(f"{agreement.title}\n")
            page_console().print(terminal(agreement))
            print()
    print(f"scores: {folder / proxy_study.FILE_NAME}")
    print(f"report: {folder / 'proxies.html'} and {folder / 'proxies.md'}")


def train(
    genotype: ArchitectureArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Folder of the records and checkpoints; runs/trained by default."
        ),
    ] = None,
    space: Annotated[
        str, typer.Option(metavar="SPACE", help="Whose genotype it is.", autocompletion=complete.spaces)
    ] = "darts",
    images: ImagesOption = "cifar10",
    channels: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Of the edges in the first cell.")] = 36,
    cells: Annotated[int, typer.Option(min=3, metavar="COUNT", help="In all; two of them halve the size.")] = 20,
    stem: Annotated[
        str, typer.Option(metavar="cifar|imagenet", help="cifar, or imagenet for images of its size.")
    ] = "cifar",
    seed: Annotated[
        list[int] | None, typer.Option(min=0, metavar="SEED", help="May be repeated; 0 by default.")
    ] = None,
    settings: SettingsOption = None,
    training_images: Annotated[
        int | None, typer.Option(min=2, metavar="COUNT", help="Train on so many of the images only, the first ones.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="cpu or cuda.")] = "cpu",
    workers: WorkersOption = 1,
    backend: BackendOption = "local",
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the network of a genotype from nothing, by the protocol of the DARTS papers unless settings say otherwise.

    A checkpoint is written after every epoch, and the same command goes on from there; on the CPU a training that was
    interrupted ends with the same numbers as one that was not. Exits with 1 if a training failed; its reason is
    recorded, and the next call tries it again.

    Example: `opselect train DARTS_V2 --images cifar10 --seed 0 --seed 1 --output runs/darts_v2`
    """
    _check_name(genotype)
    check_known("stem", stem, ("cifar", "imagenet"))
    check_known("device", device, ("cpu", "cuda"))
    with progress_display(f"reading {genotype[:40]}", quiet) as progress:
        from opselect.bench.evaluation import networks as trainings
        from opselect.bench.experiment.file import NetworkChoice, checked_settings
        from opselect.bench.runs.plan import network_forecast
        from opselect.bench.runs.select import parse_setting
        from opselect.bench.statistics.estimates import mean_interval
        from opselect.spaces.darts.genotypes import format_genotype

        folder = output or Path("runs") / "trained"
        sizes = {"channels": channels, "cells": cells, "stem": stem, "seeds": list(dict.fromkeys(seed or [0]))}
        changes = dict(parse_setting(text, "epochs=60") for text in settings or [])
        choice: NetworkChoice = checked_settings(NetworkChoice, sizes | changes, "train, --set")
        chosen = format_genotype(trainings.genotype_named(genotype))
        networks = trainings.describe_networks(space, [chosen], images, training_images, choice, device)
        pool = workers_of(workers, backend, scheduler)
        progress.forecast = forecast = network_forecast(networks, folder, steps_at_a_time(pool))
        records = trainings.train_all(
            networks,
            folder,
            pool,
            progress,
            lambda seconds: forecast.finish(Kind("networks", ""), seconds),
            all_threads=True,
        )
    results = {record.network.seed: record.result for record in records if record.result is not None}
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
    else:
        for first in list(results.values())[:1]:
            print(f"{first.parameters:,} parameters, {first.multiply_adds:,} multiply-adds for one image")
        for number, result in results.items():
            print(f"seed {number}: test accuracy {result.last:.2f} %, best of all epochs {result.best:.2f} %")
        if len(results) > 1:
            for epoch in ("last", "best"):
                mean = mean_interval(getattr(result, epoch) for result in results.values())
                print(f"{epoch}: {mean.value:.2f} ± {mean.deviation:.2f} % over {mean.n} seeds")
        print(f"records: {folder / trainings.FILE_NAME}")
    exit_if_networks_failed(records)


def draw(
    architecture: ArchitectureArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A .pdf, .png or .svg file; NAME.pdf or cell.pdf by default."
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="SPACE",
            help="Whose architecture it is; darts by default, and nasbench201 for an arch string.",
            autocompletion=complete.spaces,
        ),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Above the cells; papers have captions instead.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Draw the cells of an architecture as graphs that a paper can print.

    Example: `opselect draw DARTS_V2 --output darts_v2.pdf`
    """
    from opselect.bench.interface import Drawing, check_drawing_kind
    from opselect.spaces import registry

    target = output or Path(f"{architecture if architecture.isidentifier() else 'cell'}.pdf")
    check_drawing_kind(target)
    if space is None:
        space = "nasbench201" if architecture.lstrip().startswith("|") else "darts"
    registry.origin("spaces", space)
    if space.startswith("darts"):
        _check_name(architecture)

    from opselect.bench.evaluation.networks import architecture_named

    loaded = registry.load("spaces", space)
    drawing = Drawing(loaded, architecture_named(architecture, loaded), title)
    path = drawing.save(target)
    if as_json:
        print_json({"figure": str(path), "space": space, "architecture": loaded.format(drawing.architecture)})
    else:
        print(f"figure: {path}")


def _check_name(architecture: str) -> None:
    """Refuse the name of no genotype before torch is imported, which takes seconds."""
    from opselect.spaces.darts.genotypes import library

    if architecture.isidentifier():
        check_known("genotype", architecture, tuple(library()))
