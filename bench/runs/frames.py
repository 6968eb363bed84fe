"""The records of a run as tidy pandas frames: one row per trial, training, score or decision, and names for numbers.

Texts are of pandas' type `string`, whole numbers that may be missing of `Int64`, and missing numbers of `float64` are
NaN. A frame without rows has the same columns and types.
"""

import html as escaping
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from opselect.bench.runs.records import Record
from opselect.spaces import registry
from opselect.spaces.space import SearchSpace

if TYPE_CHECKING:
    from opselect.bench.runs.run import Run

TRIALS: Mapping[str, str] = {
    "label": "string",
    "selector": "string",
    "role": "string",
    "supernet": "string",
    "seed": "int64",
    "status": "string",
    "reason": "string",
    "space": "string",
    "images": "string",
    "architecture": "string",
    "test_accuracy": "float64",
    "valid_accuracy": "float64",
    "regret": "float64",
    "percentile": "float64",
    "search_seconds": "float64",
    "evaluations": "Int64",
}
"""Accuracies in percent, regret in percentage points; `supernet` is the training, missing where none is needed;
`status` is `done`, `failed`, for which `reason` has the sentence, or `missing`."""

NETWORKS: Mapping[str, str] = {
    "architecture": "string",
    "seed": "int64",
    "status": "string",
    "reason": "string",
    "space": "string",
    "images": "string",
    "channels": "int64",
    "cells": "int64",
    "test_accuracy": "float64",
    "best_test_accuracy": "float64",
    "parameters": "Int64",
    "multiply_adds": "Int64",
    "seconds": "float64",
}
"""`test_accuracy` is that after the last epoch, `best_test_accuracy` the largest of all epochs, both in percent."""

SCORES: Mapping[str, str] = {
    "label": "string",
    "seed": "int64",
    "step": "int64",
    "cell": "string",
    "edge": "string",
    "operation": "string",
    "score": "float64",
    "best_acc": "float64",
    "best_acc_runs": "float64",
    "avg_acc": "float64",
    "is_decided": "bool",
    "is_chosen": "bool",
}
"""Steps count from 1. The three oracle scores are test accuracies in percent, given the decisions before the step;
`is_decided` marks the edge that the step decides, `is_chosen` the operation that it chooses there."""

TRACE: Mapping[str, str] = {
    "label": "string",
    "seed": "int64",
    "step": "int64",
    "cell": "string",
    "edge": "string",
    "operation": "string",
    "score": "float64",
    "tied": "int64",
}
"""Steps count from 1; `tied` is the number of other operations with the same score."""

SUMMARY: Mapping[str, str] = {
    "label": "string",
    "role": "string",
    "trials": "int64",
    "failed": "int64",
    "missing": "int64",
    "test_accuracy": "float64",
    "test_accuracy_deviation": "float64",
    "regret": "float64",
    "percentile": "float64",
    "search_seconds": "float64",
}
"""`trials` counts the finished ones, over which the means are; the deviation is that of the sample (n - 1)."""


def trials(run: "Run") -> pd.DataFrame:
    """One row per trial, those without a record included.

    Args:
        run: Records of a run.

    Returns:
        A frame with the columns of `TRIALS`, then one per other dataset and per setting.
    """
    rows: list[dict[str, Any]] = []
    for label in run.labels:
        known = {record.trial.seed: _trial(run, record) for record in run.records[label]}
        gone = {
            seed: {"label": label, "role": run.role(label), "seed": seed, "status": "missing"}
            for seed in run.missing.get(label, ())
        }
        rows += [row for _, row in sorted((known | gone).items())]
    others = dict.fromkeys(name for row in rows for name in row if name not in TRIALS and row[name] is not None)
    frame = frame_of(rows, TRIALS)
    # What a setting is differs between selectors, so its type follows from the values that there are.
    return frame.assign(**{name: pd.Series([row.get(name) for row in rows]).convert_dtypes() for name in others})


def _trial(run: "Run", record: Record) -> dict[str, Any]:
    trial, result, cost = record.trial, record.result, record.cost
    measured = {} if result is None else result.model_dump(include=set(TRIALS))
    others = {} if result is None else result.other_test_accuracies
    return {
        "label": record.label,
        "selector": trial.selector,
        "role": run.role(record.label),
        "supernet": trial.supernet or (None if trial.training is None else "darts"),
        "seed": trial.seed,
        "status": record.status,
        "reason": record.reason,
        "space": trial.space,
        "images": trial.images,
        **measured,
        "search_seconds": cost and cost.search_seconds,
        "evaluations": cost and cost.evaluations,
        **{f"test_accuracy_{dataset}": accuracy for dataset, accuracy in others.items()},
        **{f"setting_{name}": value for name, value in trial.settings.items()},
        **{f"supernet_{name}": value for name, value in (trial.training or {}).items()},
    }


def networks(run: "Run") -> pd.DataFrame:
    """One row per training of a selected network, with the columns of `NETWORKS`; failed ones included.

    Args:
        run: Records of a run.
    """
    rows = []
    for record in (record for records in run.training_records.values() for record in records):
        network, result = record.network, record.result
        row: dict[str, Any] = network.model_dump(include=set(NETWORKS)) | {
            "architecture": network.genotype,
            "status": "failed" if result is None else "done",
            "reason": record.reason,
        }
        if result is not None:
            row |= result.model_dump(include={"parameters", "multiply_adds", "seconds"})
            row |= {"test_accuracy": result.last, "best_test_accuracy": result.best}
        rows.append(row)
    return frame_of(rows, NETWORKS)


def scores(run: "Run") -> pd.DataFrame:
    """One row per score of an operation, with the columns of `SCORES`.

    Orders that rank all edges only once carry their scores along; those of edges that are decided are left out.

    Args:
        run: Records of a run.
    """
    return frame_of(_scores(run), SCORES)


def _scores(run: "Run") -> Iterator[dict[str, Any]]:
    for record, space in _with_space(run):
        decided: set[int] = set()
        for number, step in enumerate(record.result.steps if record.result else (), start=1):
            for place, values in step.scores.items():
                if place in decided:
                    continue
                edge = space.edges[place]
                truth = {oracle.replace("-", "_"): by_edge[place] for oracle, by_edge in step.truth.items()}
                for operation, (name, score) in enumerate(zip(edge.operations, values, strict=True)):
                    yield {
                        "label": record.label,
                        "seed": record.trial.seed,
                        "step": number,
                        "cell": edge.cell,
                        "edge": edge.name,
                        "operation": name,
                        "score": score,
                        **{oracle: accuracies[operation] for oracle, accuracies in truth.items()},
                        "is_decided": place == step.edge,
                        "is_chosen": (place, operation) == (step.edge, step.operation),
                    }
            decided.add(step.edge)


def trace(run: "Run") -> pd.DataFrame:
    """One row per decision, with the columns of `TRACE`.

    Args:
        run: Records of a run.
    """
    rows = [
        {
            "label": record.label,
            "seed": record.trial.seed,
            "step": number,
            "cell": space.edges[step.edge].cell,
            "edge": space.edges[step.edge].name,
            "operation": space.edges[step.edge].operations[step.operation],
            "score": step.scores[step.edge][step.operation],
            "tied": step.tied,
        }
        for record, space in _with_space(run)
        for number, step in enumerate(record.result.steps if record.result else (), start=1)
    ]
    return frame_of(rows, TRACE)


def summary(run: "Run") -> pd.DataFrame:
    """One row per selector, with the columns of `SUMMARY`.

    Args:
        run: Records of a run.
    """
    frame = trials(run)
    rows: list[dict[str, Any]] = []
    for label in run.labels:
        mine = frame[frame["label"] == label]
        done = mine[mine["status"] == "done"]
        means = {name: done[name].mean() for name in ("test_accuracy", "regret", "percentile", "search_seconds")}
        rows.append(
            {
                "label": label,
                "role": run.role(label),
                "trials": len(done),
                "failed": int((mine["status"] == "failed").sum()),
                "missing": int((mine["status"] == "missing").sum()),
                **means,
                "test_accuracy_deviation": done["test_accuracy"].std(),
            }
        )
    return frame_of(rows, SUMMARY)


def html(run: "Run", heading: str) -> str:
    """The summary as HTML for notebooks, without the columns that have nothing to show.

    Args:
        run: Records of a run.
        heading: Text above the table.
    """
    frame = summary(run).dropna(axis="columns", how="all")
    empty = [name for name in ("failed", "missing") if not frame[name].any()]
    shown = frame.drop(columns=empty).rename(columns=lambda name: name.replace("_", " "))
    table = shown.to_html(index=False, border=0, float_format="{:.2f}".format, na_rep="–")
    return f"<p><b>{escaping.escape(heading)}</b></p>\n{table}"


def _with_space(run: "Run") -> Iterator[tuple[Record, SearchSpace]]:
    """The records with the space whose edges and operations they number."""
    for record in run.all:
        yield record, registry.load("spaces", record.trial.space)


def frame_of(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """A frame with these columns in this order, of these types; what a row lacks is missing, other values are left out.

    Args:
        rows: Values by column.
        types: Types of pandas by column.
    """
    listed = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in listed], dtype=kind) for name, kind in types.items()}
    )
