"""Files in exactly the formats of the published ones, written by the packages' own classes."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nas_201_api import ArchResults, ResultsCount

from opselect.spaces.nasbench201.space import nasbench201

SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
"""What each training is evaluated on."""

SEEDS = (777, 888, 999)
EPOCHS = {"less": 12, "full": 200}

Content = dict[str, Any]


def trial(dataset: str, seed: int, epochs: int, architecture: str, generator: np.random.Generator) -> ResultsCount:
    """One training with random numbers after every epoch."""

    def curve(high: float) -> OrderedDict[int, float]:
        return OrderedDict((epoch, float(generator.uniform(0, high))) for epoch in range(epochs))

    def curves(high: float) -> OrderedDict[str, float]:
        # As the benchmark's own code makes them: a new text for every epoch.
        return OrderedDict(
            (f"{name}@{epoch}", float(generator.uniform(0, high))) for name in SETS[dataset] for epoch in range(epochs)
        )

    config = {"channel": 16, "num_cells": 5, "arch_str": architecture, "class_num": 10}
    size, products = float(generator.integers(10**5, 10**6)) / 1e6, float(generator.integers(10**7, 10**8)) / 1e6
    latency = [np.float64(generator.uniform(0.01, 0.02))]
    result = ResultsCount(dataset, None, {}, {}, size, products, config, seed, epochs, latency)
    result.update_train_info(curve(100), curve(100), curve(3), curve(20))
    accuracies = curves(100)
    result.update_eval(accuracies, dict.fromkeys(accuracies, 1.5), dict.fromkeys(accuracies, 0.25))
    return result


@pytest.fixture(scope="session")
def official_content() -> Callable[..., Content]:
    """Makes what an official file holds, for so many architectures of which the last is listed but not evaluated."""

    def make(count: int, epochs: dict[str, int] = EPOCHS) -> Content:
        generator = np.random.default_rng(0)
        names = [nasbench201.format(nasbench201.at(int(index))) for index in generator.permutation(15625)[:count]]
        states = {}
        for number, name in enumerate(names[:-1]):
            states[number] = {}
            for budget, length in epochs.items():
                results = ArchResults(number, name)
                for dataset in SETS:
                    # 200 epochs: one, two or three seeds; 12 epochs: one seed, the second one for cifar10-valid.
                    full = SEEDS[: 1 + number % 3]
                    for seed in full if budget == "full" else SEEDS[: 1 + (dataset == "cifar10-valid")]:
                        results.update(dataset, seed, trial(dataset, seed, length, name, generator))
                results.clear_params()
                states[number][budget] = results.state_dict()
        return {"meta_archs": names, "arch2infos": states, "evaluated_indexes": set(states)}

    return make


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[object, Path]:
    """An object that makes a folder when it is unpickled, and that folder."""
    evidence = tmp_path / "evidence"

    class Hostile:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return os.mkdir, (str(evidence),)

    return Hostile(), evidence
