"""A file of published numbers, and records that are compared with it."""

from collections.abc import Sequence
from typing import Any

from opselect.bench.published.compare import Row, compare
from opselect.bench.published.numbers import Published
from opselect.bench.runs.records import Cost, Record, Result, StepRecord, TableReference, TrialDescription
from opselect.bench.runs.run import Run
from opselect.spaces.nasbench201.space import nasbench201

FILE = """
[[source]]
id       = "paper"
citation = "A paper, table 1"
obtained = "read"
verified = true

[reading.code]
proxy        = "nwot_reference"
batch_size   = 256
augmented    = true
crop_padding = 4
crop_fill    = "black"

[reading.random-alpha]
initialization = "reference"

[reading.batch]
batch_size = 256

[reading.code-of-trained]
augmented           = true
shuffled            = true
accuracy_batch_size = 64
alpha_optimizer     = "continued"
last_tuning_epochs  = 4
crop_fill           = "black"

[training.usual]
epochs     = 100
batch_size = 64
channels   = 16
cells      = 5

[[group]]
source = "paper"
space  = "nasbench201"
number = [
    NUMBERS
]
"""
LOGGED = (
    'measure = "test accuracy", method = "zero-cost-pt", images = "cifar10", dataset = "cifar10", epochs = 200, '
    'value = 94.0, settings = { proxy = ["nwot_reference", "nwot"], candidates = 1 }, tolerance = 0.5'
)
TRAINED = (
    'measure = "test accuracy", method = "darts-pt", dataset = "cifar10", images = "cifar10", epochs = 200, '
    'value = 88.0, training = "usual", tolerance = 3.0'
)
SPEARMAN = (
    'measure = "first-step Spearman with best-acc", method = "zero-cost-pt", images = "cifar10", dataset = "cifar10", '
    "value = 0.9, tolerance = 0.15"
)
TIME = 'measure = "search time", method = "zero-cost-pt", images = "cifar10", value = 94.5'
SETTINGS = {"proxy": "nwot", "candidates": 1, "edge_order": "fixed", "batch_size": 256, "validation_batches": 100}
AS_THE_CODE = {"proxy": "nwot_reference", "augmented": True}
SHUFFLED = {"augmented": True, "shuffled": True, "accuracy_batch_size": 64, "alpha_optimizer": "continued"}
CROPS = {"crop_padding": 4, "crop_fill": "black", "flip": True}
TRAINING = {"epochs": 100, "batch_size": 64, "learning_rate": 0.025}


def record(
    accuracy: float,
    seed: int = 0,
    label: str = "mine",
    selector: str = "zero-cost-pt",
    space: str = "nasbench201",
    images: str = "cifar10",
    settings: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    dataset: str = "cifar10",
    epochs: int = 200,
    others: dict[str, float] | None = None,
    steps: Sequence[StepRecord] = (),
    status: str = "done",
    **fields: Any,
) -> Record:
    """A trial on NAS-Bench-201 in the setting of the logs, unless something else is said."""
    trial = TrialDescription(
        space=space,
        images=images,
        images_hash="abc123",
        selector=selector,
        settings=SETTINGS | (settings or {}),
        seed=seed,
        training=training,
        table=TableReference(
            name="nasbench201",
            dataset=dataset,
            epochs=epochs,
            valid_epochs=12,
            also=tuple(others or {}),
            fingerprint="f1e2d3c4",
        ),
        observe=True,
        device="cpu",
        software={"opselect": "0.1.0"},
        **fields,
    )
    result = Result(
        architecture=nasbench201.format(nasbench201.at(0)),
        valid_accuracy=accuracy,
        test_accuracy=accuracy,
        test_accuracies=[accuracy],
        other_test_accuracies=others or {},
        regret=94.37 - accuracy,
        percentile=50.0,
        candidates=[],
        steps=list(steps),
    )
    cost = Cost(seconds={"scoring": 60.0}, search_seconds=61.0, evaluations=30, peak_memory_megabytes=1.0, device="cpu")
    return Record(
        version=1,
        experiment="mine",
        label=label,
        trial=trial,
        key=trial.key,
        status="done" if status == "done" else "failed",
        reason=None if status == "done" else "it broke",
        result=result if status == "done" else None,
        cost=cost if status == "done" else None,
        environment={},
    )


def step(edges: int, of: int, shift: int = 0, oracle: str = "best-acc-runs") -> list[StepRecord]:
    """As many steps as there are edges; the first one's scores are the truth, the last ones of `shift` places moved."""
    truth = [1.0, 2.0, 3.0, 4.0, 5.0]
    scores = truth[shift:] + truth[:shift]
    first = StepRecord(
        edge=0,
        operation=4,
        tied=0,
        scores=dict.fromkeys(range(edges), scores),
        truth={"best-acc": dict.fromkeys(range(edges), truth), oracle: dict.fromkeys(range(edges), truth)},
    )
    rest = [StepRecord(edge=edge, operation=4, tied=0, scores={}, truth={}) for edge in range(1, of)]
    return [first, *rest]


def rows_of(published: Published, *records: Record) -> list[Row]:
    """The comparison with one run and no table."""
    runs = {"runs/mine": Run.of(records, [])} if records else {}
    return compare(published, runs, {"nasbench201": "no table", "digits201": "no table"}, {})


def row_of(published: Published, *records: Record) -> Row:
    """The only row."""
    (row,) = rows_of(published, *records)
    return row
