"""Records of the default experiment, with the numbers that a test wants."""

from typing import Any

from opselect.bench.runs.records import Cost, Record, Result, StepRecord, TableReference, TrialDescription
from opselect.spaces.nasbench201.space import digits201

TABLE = TableReference(name="digits201", dataset="digits", epochs=10, valid_epochs=10, also=(), fingerprint="f1e2d3c4")
BEST_TEST_ACCURACY = 90.0


def description(selector: str, seed: int, table: TableReference | None = TABLE) -> TrialDescription:
    """A trial of the default experiment."""
    return TrialDescription(
        space="digits201",
        images="digits",
        images_hash="abc123",
        selector=selector,
        settings={"edge_order": "random"} if "pt" in selector else {},
        seed=seed,
        training={"epochs": 60} if "darts" in selector or selector == "magnitude" else None,
        table=table,
        observe=True,
        device="cpu",
        software={"opselect": "0.1.0", "torch": "2.5.1"},
    )


def finished(label: str, selector: str, seed: int, result: Result, table: TableReference | None = TABLE) -> Record:
    """A record with a result; its times depend on the selector and the seed."""
    training = 40.0 + seed if selector in ("magnitude", "darts-pt", "darts-pt-fixed-alpha", "disc-acc") else 0.0
    scoring = {"magnitude": 0.001, "random": 0.0005}.get(selector, 2.0 + 0.3 * seed + len(label) / 5)
    seconds = {"supernet training": training, "scoring": scoring, "observing": 5.0}
    cost = Cost(
        seconds=seconds,
        search_seconds=training + scoring,
        evaluations=30,
        peak_memory_megabytes=400.0 + seed,
        device="cpu",
    )
    trial = description(selector, seed, table)
    return Record(
        version=1,
        experiment="digits201",
        label=label,
        trial=trial,
        key=trial.key,
        status="done",
        reason=None,
        result=result,
        cost=cost,
        environment={"host": "here", "date": f"2026-01-0{seed + 1}", "python": "3.11.9"},
    )


def measured(test_accuracy: float, architecture: str = "", steps: tuple[StepRecord, ...] = (), **more: Any) -> Result:
    """A result whose regret and percentile follow from its test accuracy."""
    values: dict[str, Any] = {
        "architecture": architecture or digits201.format(digits201.at(0)),
        "valid_accuracy": test_accuracy + 1,
        "test_accuracy": test_accuracy,
        "test_accuracies": [test_accuracy],
        "other_test_accuracies": {},
        "regret": BEST_TEST_ACCURACY - test_accuracy,
        "percentile": test_accuracy,
        "candidates": [],
        "steps": list(steps),
    }
    return Result(**(values | more))
