"""What an experiment names fits together, or is refused in a sentence before anything runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment, parse
from opselect.bench.experiment.ingredients import check_ingredients, images_hash, load_ingredients
from opselect.bench.runs import runner
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.nasbench201.network import CellNetwork
from opselect.spaces.nasbench201.space import NASBench201Space, digits201
from opselect.spaces.table import Table

Planting = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def nothing_is_loaded() -> None:
    """Every test has other images under the same name."""
    load_ingredients.cache_clear()
    images_hash.cache_clear()


def experiment_on(space: str, lines: str = "", selector: str = "zero-cost-pt") -> Experiment:
    batch = "batch_size = 8\n" if selector == "zero-cost-pt" else ""
    return parse(
        f'name = "mine"\nspace = "{space}"\nimages = "given"\nseeds = [0]\n{lines}\n'
        f'[[selector]]\nname = "{selector}"\n{batch}',
        "mine.toml",
    )


def images_of(channels: int, height: int, width: int, labels: torch.Tensor | None = None) -> ImageData:
    labels = torch.arange(32) % 4 if labels is None else labels
    images = LabelledImages(torch.zeros(len(labels), channels, height, width), labels)
    return ImageData("given", int(labels.max()) + 1, images, None, images)


@pytest.mark.parametrize("size", [(33, 32), (32, 30), (6, 6)])
def test_images_that_the_cells_cannot_halve_are_refused_before_anything_runs(
    planted: Planting, size: tuple[int, int]
) -> None:
    expected = rf"cannot take the images of 'given': images of {size[0]} x {size[1]} pixels, expected multiples of 4"
    with planted(images={"given": lambda: images_of(3, *size)}):
        with pytest.raises(InvalidExperiment, match=expected):
            check_ingredients(experiment_on("darts-s1"))
        # No network of the space is made for a random choice.
        check_ingredients(experiment_on("darts-s1", selector="random"))


def test_images_of_other_sizes_are_taken(planted: Planting) -> None:
    for number, (channels, height, width) in enumerate([(1, 8, 8), (3, 12, 20), (7, 16, 16)]):
        with planted(images={f"given{number}": lambda c=channels, h=height, w=width: images_of(c, h, w)}):
            text = experiment_on("darts-s1").text.replace('"given"', f'"given{number}"')
            check_ingredients(parse(text, "mine.toml"))


def test_a_space_of_a_plug_in_that_fails_on_the_images_is_named(planted: Planting) -> None:
    class Narrow(NASBench201Space):
        def supernet(self, image_channels: int, classes: int, seed: int) -> CellNetwork:
            raise ValueError(f"only one channel,\nnot {image_channels}")

    narrow = Narrow(**{each.name: getattr(digits201, each.name) for each in fields(digits201)} | {"name": "narrow"})
    with (
        planted(spaces={"narrow": narrow}, images={"given": lambda: images_of(3, 8, 8)}),
        pytest.raises(InvalidExperiment, match=r"the networks of narrow cannot .*: only one channel, not 3; choose"),
    ):
        check_ingredients(experiment_on("narrow"))


@pytest.mark.parametrize("split", ["training", "test"])
def test_images_of_a_single_class_are_refused(planted: Planting, split: str) -> None:
    usual = images_of(1, 8, 8)
    alone = LabelledImages(usual.train.images, torch.full((32,), 3))
    data = replace(usual, **{"train" if split == "training" else "test": alone})
    with (
        planted(images={"given": lambda: data}),
        pytest.raises(InvalidExperiment, match=rf"the 32 {split} images of 'given' have 1 class, expected at least"),
    ):
        check_ingredients(experiment_on("digits201"))


def test_the_first_images_may_be_of_a_single_class_though_all_are_not(planted: Planting) -> None:
    data = images_of(1, 8, 8, torch.arange(32) // 16)
    experiment = experiment_on("digits201", "training_images = 16")
    with (
        planted(images={"given": lambda: data}),
        pytest.raises(InvalidExperiment, match="the 16 training images of 'given' have 1 class"),
    ):
        check_ingredients(experiment)


TABLE = '[table]\nname = "mine"\ndataset = "digits"\nepochs = 10\n'


def test_a_table_of_networks_of_another_size_must_be_meant(planted: Planting, additive_table: Table) -> None:
    with planted(images={"given": lambda: images_of(1, 8, 8)}, tables={"mine": lambda: additive_table}):
        with pytest.raises(
            InvalidExperiment,
            match=r"'mine' is a table of digits201, whose networks are not those of nasbench201; "
            "set space = 'digits201', or of_other_networks = true in",
        ):
            check_ingredients(experiment_on("nasbench201", TABLE))
        check_ingredients(experiment_on("nasbench201", f"{TABLE}of_other_networks = true\n"))


def test_a_table_without_an_accuracy_of_the_space_is_refused(planted: Planting, additive_table: Table) -> None:
    number = additive_table.rows.schema.get_field_index("accuracy")
    unknown = torch.full((len(additive_table.rows),), torch.nan).numpy()
    empty = replace(additive_table, rows=additive_table.rows.set_column(number, "accuracy", [unknown]))
    with (
        planted(images={"given": lambda: images_of(1, 8, 8)}, tables={"mine": lambda: empty}),
        pytest.raises(InvalidExperiment, match=r"'mine' has no accuracy of any architecture of digits201 for digits"),
    ):
        check_ingredients(experiment_on("digits201", TABLE))


def test_validation_accuracies_are_needed_where_an_oracle_reads_them(
    planted: Planting, additive_table: Table, tmp_path: Path
) -> None:
    rows = additive_table.rows.filter([split == "test" for split in additive_table.rows["split"].to_pylist()])
    table = replace(additive_table, rows=rows)
    with planted(images={"given": lambda: images_of(1, 8, 8)}, tables={"mine": lambda: table}):
        with pytest.raises(InvalidExperiment, match="best-acc reads validation accuracies, valid_epochs says of which"):
            check_ingredients(experiment_on("digits201", TABLE, "best-acc"))
        summary = runner.run(experiment_on("digits201", TABLE, "random"), tmp_path, 1, lambda what, done, total: None)
    (record,) = summary.records
    assert record.result is not None
    assert record.result.valid_accuracy is None
    assert record.result.test_accuracy is not None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[supernet]\ncells = 1_000_000_000\n", "cells = 1000000000: input should be less than or equal to 1000"),
        ("[supernet]\nchannels = 1_000_000\n", "channels = 1000000: input should be less than or equal to 4096"),
        ("[training]\ncells = 1_000_000_000\n", "cells = 1000000000: input should be less than or equal to 1000"),
    ],
)
def test_networks_that_no_machine_holds_are_refused(lines: str, expected: str) -> None:
    with pytest.raises(InvalidExperiment, match=expected):
        experiment_on("digits201", lines)


def test_seeds_without_end_are_refused() -> None:
    text = experiment_on("digits201").text.replace("[0]", str(list(range(10_001))))
    with pytest.raises(InvalidExperiment, match="seeds: 10,001 seeds, expected at most 10,000"):
        parse(text, "mine.toml")


@pytest.mark.parametrize(
    ("space", "training", "message"),
    [
        (
            "digits201",
            'name = "msg-das"\nsub_graph_count = 6',
            "mine, [supernet] 'msg-das': it cannot train supernets of digits201: it draws 6 operations per edge "
            "(sub_graph_count), and an edge has 5; change its settings or choose another training",
        ),
        (
            "digits201",
            'name = "pc-darts"\nchannels = 6',
            "mine, [supernet] 'pc-darts': it cannot train supernets of digits201: a layer of its supernet has 6 "
            "channel(s), which cannot be divided by 4; change its settings or choose another training",
        ),
        (
            "darts-s4",
            'name = "darts-minus"',
            "mine, [supernet] 'darts-minus': it cannot train supernets of darts-s4: an edge with the operations noise, "
            "sep_conv_3x3 has no skip_connect, which this training needs; change its settings or choose another "
            "training",
        ),
    ],
)
def test_a_training_that_the_space_cannot_have_is_refused(
    planted: Planting, space: str, training: str, message: str
) -> None:
    with planted(images={"given": lambda: images_of(1, 12, 12)}):
        text = f"[supernet]\n{training}\nbatch_size = 4"
        with pytest.raises(InvalidExperiment) as refused:
            check_ingredients(experiment_on(space, text, "magnitude"))
        assert str(refused.value) == message
        # Without a selector that needs a trained supernet nothing is trained.
        check_ingredients(experiment_on(space, text, "random"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('name = "gdas"\nfirst_temperature = 0.0', "first_temperature = 0.0: input should be greater than or equal to"),
        ('name = "msg-das"\nsub_graph_count = 0', "sub_graph_count = 0: input should be greater than or equal to 1"),
        ('name = "msgdas"', "no supernet training named 'msgdas'; did you mean 'msg-das'"),
        ('name = "oles"\ntreshold = 0.5', "unknown setting 'treshold'; did you mean 'threshold'"),
    ],
)
def test_settings_of_a_training_are_checked_in_the_file(lines: str, message: str) -> None:
    with pytest.raises(InvalidExperiment) as refused:
        experiment_on("digits201", f"[supernet]\n{lines}", "magnitude")
    assert message in str(refused.value)
