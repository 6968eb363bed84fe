"""Commands about stand-alone networks: proxies scores them, train trains them, draw draws their cells."""

from pathlib import Path
from typing import Annotated

import typer

from opselect.bench.cli.options import (
    BackendOption,
    JsonOption,
    SchedulerOption,
    WorkersOption,
    load_table,
    worker_count,
    workers_of,
)
from opselect.bench.cli.output import exit_if_networks_failed, print_json, progress_bars


def proxies(
    table: Annotated[str, typer.Option(help="Accuracies: a table by name, or a Parquet file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the scores and the report.")],
    space: Annotated[
        str | None, typer.Option(help="Whose stand-alone networks are scored; the table's own space by default.")
    ] = None,
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

    Example: `opselect proxies --table digits201 --images digits --sample 500 --output runs/proxies`
    """
    from opselect.bench import proxy_study
    from opselect.bench.report.page import write_proxy_report
    from opselect.spaces import registry

    names = tuple(dict.fromkeys(proxy or registry.names("proxies")))
    for name in names:
        registry.load("proxies", name)
    scored = None if space is None else registry.load("spaces", space)
    accuracies = load_table(table)
    if scored is not None and scored.edges != accuracies.space.edges:
        raise proxy_study.UnfitTable(
            f"{table!r} is a table of {accuracies.space.name}, which has other edges than {space}; leave out --space"
        )
    study = proxy_study.describe(space or accuracies.space.name, images, batch_size, seed)
    with progress_bars() as progress:
        scores = proxy_study.score_architectures(study, sample, names, output, worker_count(workers), progress)
    write_proxy_report(scores, accuracies, output)
    print(f"scores: {output / proxy_study.FILE_NAME}")
    print(f"report: {output / 'proxies.html'} and {output / 'proxies.md'}")


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
    from opselect.bench.runs.select import parse_setting
    from opselect.bench.statistics.estimates import mean_interval
    from opselect.spaces.darts.genotypes import format_genotype
    from opselect.spaces.registry import UnknownName, did_you_mean

    for value, known in ((stem, ("cifar", "imagenet")), (device, ("cpu", "cuda"))):
        if value not in known:
            raise UnknownName(f"{value!r} is neither {' nor '.join(known)}{did_you_mean(value, known)}")
    sizes = {"channels": channels, "cells": cells, "stem": stem, "seeds": list(dict.fromkeys(seed or [0]))}
    changes = dict(parse_setting(text, "epochs=60") for text in settings or [])
    choice: NetworkChoice = checked_settings(NetworkChoice, sizes | changes, "train, --set")
    chosen = format_genotype(trainings.genotype_named(genotype))
    networks = trainings.describe_networks(space, [chosen], images, training_images, choice, device)
    pool = workers_of(workers, backend, scheduler)
    with progress_bars() as progress:
        records = trainings.train_all(
            networks,
            output,
            pool,
            progress,
            lambda network, now: progress(f"epochs of seed {network.seed}", now.epoch, choice.epochs),
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
        print(f"records: {output / trainings.FILE_NAME}")
    exit_if_networks_failed(records)


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
    from opselect.bench.interface import Drawing
    from opselect.spaces.registry import load

    loaded = load("spaces", space)
    print(f"figure: {Drawing(loaded, architecture_named(architecture, loaded), title).save(output)}")
