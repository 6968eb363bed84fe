"""One trial: a selector with a seed on its supernet, and the record of its result and its costs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from opselect.bench.experiment.file import Experiment, SelectorEntry, TableChoice
from opselect.bench.experiment.ingredients import best_of_runs, images_hash, load_ingredients
from opselect.bench.runs.records import (
    CellRecord,
    Code,
    Cost,
    PruningRecord,
    Record,
    Result,
    StepRecord,
    TableReference,
    TrialDescription,
)
from opselect.bench.runs.supernets import SupernetJob, cached_supernet, initial_supernet
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.provenance import environment, reason_of, software
from opselect.bench.storage.store import FORMAT_VERSION
from opselect.selectors.costs import Costs, peak_memory_megabytes
from opselect.selectors.decisions import Decisions
from opselect.selectors.scores import Summary, table_scores
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.task import SearchImages, Selection, Task
from opselect.spaces import registry
from opselect.spaces.darts.cells import CELLS
from opselect.spaces.darts.genotypes import cell_depth, cell_width, parameter_free_share, skip_connections
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import Table

_TRIAL = tuple(f"opselect.bench.runs.trial:{name}" for name in ("_select", "_evaluate", "look_up", "_step_records"))
"""The functions of this module that determine a result."""


@dataclass(frozen=True)
class Trial:
    """One selector with one seed.

    Attributes:
        experiment: Experiment of the trial.
        entry: The selector with its settings.
        seed: Seed of supernet, batches and edge orders.
        supernets: Folder of trained supernets.
    """

    experiment: Experiment
    entry: SelectorEntry
    seed: int
    supernets: Path

    @property
    def supernet_job(self) -> SupernetJob | None:
        """The training of the trial's supernet; None where it needs no trained one."""
        supernet = self.entry.supernet
        return None if supernet is None else SupernetJob(self.experiment, supernet, self.seed, self.supernets)

    @property
    def description(self) -> TrialDescription:
        """Everything that determines the outcome of the trial."""
        experiment, choice, supernet = self.experiment, self.experiment.table, self.entry.supernet
        _, data, table = load_ingredients(experiment)
        return TrialDescription(
            space=experiment.space,
            images=experiment.images,
            images_hash=images_hash(experiment),
            selector=self.entry.name,
            settings=self.entry.settings.model_dump(mode="json"),
            seed=self.seed,
            training=supernet and supernet.training.model_dump(mode="json"),
            supernet=self.entry.recorded_supernet,
            table=table
            and choice
            and TableReference(
                name=choice.name,
                dataset=choice.dataset,
                epochs=choice.epochs,
                valid_epochs=choice.valid_column[2],
                also=choice.also,
                fingerprint=table.fingerprint,
            ),
            observe=experiment.observe,
            device=experiment.device,
            software=software(),
            training_images=experiment.training_images,
            augmentation=data.augmentation,
            order_seed=data.order_seed,
            initialization=None if experiment.initialization == "own" else experiment.initialization,
            code=_code_of(self._components),
        )

    @property
    def _components(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of every registered component whose code decides what comes out."""
        supernet = self.entry.supernet
        return (
            ("spaces", self.experiment.space),
            ("selectors", self.entry.name),
            *self.entry.settings.components,
            *([("supernets", supernet.name)] if supernet else []),
        )


@cache
def _code_of(components: tuple[tuple[str, str], ...]) -> Code:
    """The code of a trial with these registered components."""
    origins = [registry.origin(kind, name) for kind, name in components]
    return Code(
        digest=code_digest(*_TRIAL, *(origin.module for origin in origins)),
        packages={
            origin.distribution: origin.version or "unknown"
            for origin in origins
            if origin.distribution and origin.distribution != "opselect"
        },
    )


def run_trial(trial: Trial, prevented: str | None = None) -> Record:
    """Run a trial to the end and return its record; any error in it becomes the reason of a failed record.

    Args:
        trial: Trial to run.
        prevented: Reason why it cannot run, for example that its supernet failed; None where it can.
    """
    result, cost, reason = None, None, prevented
    if prevented is None:
        try:
            result, cost = _select(trial)
        except Exception as error:
            reason = reason_of(error)
    description = trial.description
    return Record(
        version=FORMAT_VERSION,
        experiment=trial.experiment.name,
        label=trial.entry.label,
        role=trial.entry.settings.role,
        trial=description,
        key=description.key,
        status="done" if result else "failed",
        reason=reason,
        result=result,
        cost=cost,
        environment=environment(),
    )


def _select(trial: Trial) -> tuple[Result, Cost]:
    experiment, entry = trial.experiment, trial.entry
    space, data, table = load_ingredients(experiment)
    costs = Costs(experiment.device)
    supernet, alpha, alpha_optimizer = None, None, None
    if job := trial.supernet_job:
        cached = cached_supernet(job)
        if cached is None:
            raise FileNotFoundError(f"no trained supernet at {job.path}")
        (supernet, _), alpha, alpha_optimizer = job.initial_supernet(), cached["alpha"], cached["optimizer"]
        supernet.load_state_dict(cached["supernet"])
        costs.seconds["supernet training"] = cached["seconds"]
    elif entry.selector.needs.supernet:
        supernet, alpha = initial_supernet(experiment, space, trial.seed)
    valid, best_valid = _valid_accuracies(table, trial)
    task = Task(
        space=space,
        images=SearchImages.halves(data, experiment.device),
        classes=data.classes,
        seed=trial.seed,
        supernet=supernet,
        alpha=alpha,
        alpha_optimizer=alpha_optimizer,
        valid_accuracies=valid,
        best_valid_accuracies=best_valid,
        training=entry.supernet.training if entry.supernet else DARTS(),
        costs=costs,
        record_all_scores=experiment.observe,
    )
    selection = trial.entry.selector(task)
    cost = Cost(
        seconds=costs.seconds,
        search_seconds=costs.search_seconds,
        evaluations=costs.evaluations,
        peak_memory_megabytes=peak_memory_megabytes(),
        device=costs.device,
    )
    return _evaluate(selection, space, table, trial), cost


def _valid_accuracies(table: Table | None, trial: Trial) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What the oracles read: means, and the best of single trainings. Without oracles, a table may have none."""
    choice = trial.experiment.table
    if table is None or choice is None or choice.valid_column not in table.columns:
        return None, None
    return table.accuracies(*choice.valid_column, "mean"), best_of_runs(table, choice.valid_column)


def _evaluate(selection: Selection, space: SearchSpace, table: Table | None, trial: Trial) -> Result:
    """The result of a selection, with test accuracies of the table, which nothing else reads."""
    choice = trial.experiment.table
    common: dict[str, Any] = {
        "architecture": space.format(selection.architecture),
        "candidates": [(space.format(architecture), score) for architecture, score in selection.candidates],
        "topology": [PruningRecord(**dataclasses.asdict(step)) for step in selection.pruning],
        "cells": cell_records(space, selection.architecture),
    }
    if table is None or choice is None:
        return Result(
            **common,
            valid_accuracy=None,
            test_accuracy=None,
            test_accuracies=[],
            other_test_accuracies={},
            regret=None,
            percentile=None,
            steps=_step_records(selection, space, {}),
        )

    return Result(
        **common,
        **look_up(selection.architecture, table, choice),
        steps=_step_records(selection, space, oracle_accuracies(table, choice.test_columns[choice.dataset])),
    )


def look_up(architecture: Architecture, table: Table, choice: TableChoice) -> dict[str, Any]:
    """All that a result says about the accuracy of an architecture, by field of `Result`.

    Args:
        architecture: The architecture.
        table: The table of accuracies.
        choice: Its columns that the experiment names.
    """

    def accuracy(column: tuple[str, str, int], seeds: Any) -> Any:
        return table.accuracy(architecture, *column, seeds)

    main, *others = choice.test_columns.values()
    test_accuracies = table.accuracies(*main, "mean")
    test_accuracy = accuracy(main, "mean")
    return {
        "valid_accuracy": accuracy(choice.valid_column, "mean") if choice.valid_column in table.columns else None,
        "test_accuracy": test_accuracy,
        "test_accuracies": [value for value in accuracy(main, "each") if not np.isnan(value)],
        "other_test_accuracies": {column[0]: accuracy(column, "mean") for column in others},
        "regret": float(np.nanmax(test_accuracies) - test_accuracy),
        "percentile": float(100 * (test_accuracies < test_accuracy).sum() / (~np.isnan(test_accuracies)).sum()),
    }


def oracle_accuracies(table: Table, column: tuple[str, str, int]) -> dict[str, tuple[np.ndarray, Summary]]:
    """By oracle, the accuracies of all architectures that it reads, and how it summarizes them.

    Args:
        table: The table of accuracies.
        column: Dataset, split and epochs.
    """
    means, runs = table.accuracies(*column, "mean"), best_of_runs(table, column)
    found: dict[str, tuple[np.ndarray, Summary]] = {"best-acc": (means, "best-acc")}
    if runs is not None:
        found["best-acc-runs"] = (runs, "best-acc")
    return found | {"avg-acc": (means, "avg-acc")}


def cell_records(space: SearchSpace, architecture: Architecture) -> dict[str, CellRecord]:
    """Shape of the cells of an architecture by type of cell; empty in spaces without genotypes.

    Args:
        space: Search space of the architecture.
        architecture: The architecture.
    """
    if not isinstance(space, DARTSSpace):
        return {}
    genotype = space.genotype(architecture)
    return {
        cell: CellRecord(
            skip_connections=skip_connections(genotype, cell),
            parameter_free_share=parameter_free_share(genotype, cell),
            depth=cell_depth(genotype, cell),
            width=cell_width(genotype, cell),
        )
        for cell in CELLS
    }


def _step_records(
    selection: Selection, space: SearchSpace, oracles: Mapping[str, tuple[np.ndarray, Summary]]
) -> list[StepRecord]:
    """Records of the steps, with oracle scores given the decisions before each step."""
    decisions = Decisions.none_yet(space.edges)
    records = []
    for step in selection.steps:
        truth = {
            oracle: {edge: table_scores(accuracies, decisions, edge, summary).tolist() for edge in step.scores}
            for oracle, (accuracies, summary) in oracles.items()
        }
        records.append(
            StepRecord(
                edge=step.edge,
                operation=step.operation,
                tied=step.tied,
                scores={edge: list(scores) for edge, scores in step.scores.items()},
                truth=truth,
            )
        )
        decisions = decisions.decide(step.edge, step.operation)
    return records
