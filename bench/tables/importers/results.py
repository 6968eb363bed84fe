"""The results of one architecture, as the nas-bench-201 package interprets them.

A table's CIFAR-10 accuracies follow the benchmark's own definitions. `cifar10 valid` is the validation accuracy of the
network that was trained on the train split alone (`cifar10-valid`, set `x-valid`), `cifar10 test` the test accuracy of
the network that was trained on train and validation split together (`cifar10`, set `ori-test`). The test accuracy of
the former network is `cifar10-valid test`. For CIFAR-100 and ImageNet16-120 both accuracies belong to one network
(`x-valid`, `x-test`); its accuracy on the two sets together (`ori-test`) is left out. Accuracies are those after the
last epoch of each training budget.
"""

from collections.abc import Iterator
from typing import Any

from opselect.bench.tables.importers.rows import Row
from opselect.spaces.table import InvalidTable

SETS = {
    ("cifar10", "valid"): ("cifar10-valid", "x-valid"),
    ("cifar10", "test"): ("cifar10", "ori-test"),
    ("cifar10-valid", "test"): ("cifar10-valid", "ori-test"),
    ("cifar100", "valid"): ("cifar100", "x-valid"),
    ("cifar100", "test"): ("cifar100", "x-test"),
    ("imagenet16-120", "valid"): ("ImageNet16-120", "x-valid"),
    ("imagenet16-120", "test"): ("ImageNet16-120", "x-test"),
}
"""The package's training and evaluation set by dataset and split of the table."""


def rows_of(states: Any, where: str) -> list[Row]:
    """All accuracies of one architecture as rows of a table.

    Args:
        states: State dictionary of the package's `ArchResults` by training budget.
        where: Name of the architecture in messages.

    Raises:
        InvalidTable: The dictionaries are not those that the package writes.
    """
    try:
        return [row for state in states.values() for row in _rows_of_budget(state)]
    except Exception as error:  # the package's classes do not check dictionaries and can fail in any way
        raise InvalidTable(
            f"{where}: not the results of an architecture ({type(error).__name__}: {error}); expected what the "
            "nas-bench-201 package writes"
        ) from error


def _rows_of_budget(state: dict[str, Any]) -> Iterator[Row]:
    # Imported here, since the package imports torch's data loading, which reading a table does not need.
    from nas_201_api import ArchResults

    results = ArchResults.create_from_state_dict(state)
    for (dataset, split), (training, evaluation) in SETS.items():
        for seed in results.dataset_seed.get(training, ()):
            trial = results.query(training, seed)
            if evaluation not in trial.get_eval_set():
                continue
            seconds = trial.get_times()["T-train@total"]
            yield (
                results.arch_str,
                dataset,
                split,
                trial.get_total_epoch(),
                seed,
                float(trial.get_eval(evaluation)["accuracy"]),
                None if seconds is None else float(seconds),
                # The files count both in millions.
                round(1e6 * trial.params),
                round(1e6 * trial.flop),
            )
