"""Selectors over several spaces or sets of images: interquartile mean, chance to be better, average ranks.

A task is a space with its images. All numbers are over the same tasks and seeds: the tasks on which every compared
selector has an accuracy, and the seeds for which all of them have one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from opselect.bench.report.formatting import UNDEFINED_NOTE, interval, listing, number
from opselect.bench.report.render import ROLE_BLOCKS, SELECTOR, Block, Column, Figure, Section, Table
from opselect.bench.report.sections.baseline import random_expectation
from opselect.bench.runs.run import Run
from opselect.bench.statistics.aggregates import (
    FEWEST_FOR_BOOTSTRAP,
    AverageRanks,
    average_ranks,
    fewest_tasks,
    interquartile_mean,
    probability_of_improvement,
)
from opselect.bench.statistics.estimates import Estimate, mean_interval
from opselect.selectors.task import Role

ENOUGH_TASKS = 10
"""Number of tasks from which on the approximation of Friedman's test is good, by Demšar."""


@dataclass(frozen=True)
class Comparable:
    """What selectors are compared by over several tasks.

    Attributes:
        labels: The compared labels, selectors and random choice, in the report's order.
        accuracies: By name of a task and label, the test accuracies in percent for the common seeds, in their order.
        runs: The runs of these tasks, by the same names.
        left_out: By name of every other task, the reason.
        absent: Labels without an accuracy on any task, which are not compared.
    """

    labels: tuple[str, ...]
    accuracies: Mapping[str, Mapping[str, Sequence[float]]]
    runs: Mapping[str, Run]
    left_out: Mapping[str, str]
    absent: tuple[str, ...]

    def of(self, label: str) -> list[Sequence[float]]:
        """The accuracies of a label, one row per task."""
        return [by_label[label] for by_label in self.accuracies.values()]


def task_name(run: Run) -> str:
    """Space and images."""
    return f"{run.all[0].trial.space}, {run.all[0].trial.images}"


def roles_of(runs: Sequence[Run]) -> dict[str, Role]:
    """The role of every label, in the report's order, by a run that has records of it: only records say it surely."""
    labels = dict.fromkeys(label for run in runs for label in run.labels)
    last_resort = {label: run.role(label) for run in runs for label in run.labels}
    recorded = {label: run.role(label) for run in runs for label in run.labels if run.records[label]}
    return {label: recorded.get(label, last_resort[label]) for label in labels}


def comparable(runs: Sequence[Run]) -> Comparable:
    """The tasks and seeds that all selectors with accuracies share."""
    known = {task_name(run): {label: run.test_accuracies(label) for label in run.labels} for run in runs}
    every = [label for label, role in roles_of(runs).items() if role != "oracle"]
    labels = tuple(label for label in every if any(by_label.get(label) for by_label in known.values()))
    shared: dict[str, dict[str, list[float]]] = {}
    left_out = {}
    for task, by_label in known.items():
        seeds = set.intersection(*(set(by_label.get(label, ())) for label in labels)) if labels else set[int]()
        if without := [label for label in labels if not by_label.get(label)]:
            left_out[task] = f"no accuracy of {listing(without)}"
        elif seeds:
            shared[task] = {label: [by_label[label][seed] for seed in sorted(seeds)] for label in labels}
        else:
            left_out[task] = "no seed for which all have an accuracy"
    absent = tuple(label for label in every if label not in labels)
    return Comparable(labels, shared, {task_name(run): run for run in runs}, left_out, absent)


@dataclass(frozen=True)
class Scale:
    """What an interquartile mean is of, so that runs of different tasks can be put together.

    Attributes:
        heading: Heading of its column.
        note: What it is, or why there is none.
        scaled: By label, the values of the runs, one row per task; empty where there is none.
    """

    heading: str
    note: str
    scaled: Mapping[str, list[list[float]]]


def scale_of(found: Comparable) -> Scale:
    """The share of the gap between random choice and the table's best, where every task has a table; else accuracies.

    Accuracies of different images share no scale: the middle half of all runs would be those of the middle dataset.
    """
    gaps = {task: _gap(found.runs[task]) for task in found.accuracies}
    known = {task: gap for task, gap in gaps.items() if gap is not None}
    if len(known) == len(gaps):
        return Scale(
            "Interquartile mean of the gap closed",
            "Gap closed: test accuracy on a scale that is 0 for the expectation of random choice on the table of each "
            "task and 100 for the table's best architecture; below 0 is worse than random choice.",
            {
                label: [
                    [100 * (value - known[task][0]) / known[task][1] for value in by_label[label]]
                    for task, by_label in found.accuracies.items()
                ]
                for label in found.labels
            },
        )
    images = {found.runs[task].all[0].trial.images for task in found.accuracies}
    where = "" if not known else f" on {'; '.join(sorted(gaps.keys() - known.keys()))}"
    why = f"there is no table here with which to normalise them{where}"
    if len(images) > 1:
        return Scale("", f"No interquartile mean: accuracies on different images share no scale, and {why}.", {})
    return Scale(
        "Interquartile mean of test accuracy",
        f"The interquartile mean is of test accuracies as they are, since {why}; all tasks have the same images.",
        {label: [list(values) for values in found.of(label)] for label in found.labels},
    )


def _gap(run: Run) -> tuple[float, float] | None:
    """The expectation of random choice, and how far below the table's best it lies."""
    expected = random_expectation(run)
    if expected is None or run.population is None:
        return None
    gap = float(np.nanmax(run.population.test)) - expected.mean
    return (expected.mean, gap) if gap > 0 else None


@dataclass(frozen=True)
class AggregateSummary:
    """One selector over several tasks.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        tasks: Number of tasks.
        runs: Number of runs on all of them.
        interquartile_mean: Mean of the middle half of its runs on the common scale, undefined where there is none.
        rival: Label of the selector that it is compared with.
        better: Chance that one of its runs is better than one of the rival on the same task, undefined for the rival.
        average_rank: Average rank of its mean accuracies, 1 is the best.
    """

    label: str
    role: Role
    tasks: int
    runs: int
    interquartile_mean: Estimate
    rival: str
    better: Estimate
    average_rank: float


def ranks_of(found: Comparable) -> AverageRanks:
    """The average ranks of the mean test accuracies over the common seeds."""
    return average_ranks({label: [mean_interval(values).value for values in found.of(label)] for label in found.labels})


def compared_ranks(runs: Sequence[Run]) -> AverageRanks:
    """The average ranks over all tasks of a study that can be compared; what the diagram shows."""
    return ranks_of(comparable(runs))


def aggregates(found: Comparable) -> list[AggregateSummary]:
    """One row per compared label."""
    ranks, scale, rival = ranks_of(found).ranks, scale_of(found), _rival(found)
    roles = roles_of(list(found.runs.values()))
    return [
        AggregateSummary(
            label=label,
            role=roles[label],
            tasks=len(found.accuracies),
            runs=sum(map(len, found.of(label))),
            interquartile_mean=interquartile_mean(scale.scaled[label])
            if scale.scaled
            else _undefined("no common scale"),
            rival=rival,
            better=(
                _undefined("compared with itself")
                if label == rival
                else probability_of_improvement(found.of(label), found.of(rival))
            ),
            average_rank=ranks[label],
        )
        for label in found.labels
    ]


def _undefined(reason: str) -> Estimate:
    return Estimate(None, None, None, 0, reason)


def _rival(found: Comparable) -> str:
    """The reference of the runs where it is compared, else the label with the best average rank."""
    references = {run.reference for run in found.runs.values()}
    named = [label for label in found.labels if references == {label}]
    return named[0] if named else next(iter(ranks_of(found).ranks))


def aggregates_section(runs: Sequence[Run]) -> Section:
    """Average ranks with their diagram, the chance to be better, and interquartile means, over all tasks of a study."""
    heading, found = "All spaces and images together", comparable(runs)
    if len(found.accuracies) < 2 or len(found.labels) < 2:
        return Section(heading, paragraphs=(_why_nothing(found),))
    ranks = ranks_of(found)
    figure = Figure(
        "critical-differences",
        f"Average ranks over {ranks.tasks} tasks, the best on the left. A bar joins selectors that Nemenyi's test at "
        "5 % does not distinguish; CD is the critical difference of two average ranks.",
        shown=ranks.critical_difference is not None and ranks.tasks >= fewest_tasks(len(found.labels)),
    )
    return Section(heading, figures=(figure,), tables=(aggregates_table(found),))


def _why_nothing(found: Comparable) -> str:
    if len(found.runs) == 1:
        return f"The study has one space with one set of images ({next(iter(found.runs))}), so nothing is aggregated."
    if not found.labels:
        return "There are no accuracies, so nothing is aggregated."
    if len(found.labels) == 1:
        return f"Only {found.labels[0]} has accuracies, so there is nothing to compare."
    reasons = "; ".join(f"{task}: {reason}" for task, reason in found.left_out.items())
    return (
        f"Nothing is aggregated, since {len(found.accuracies) or 'no'} of {len(found.runs)} spaces with their images "
        f"can be compared ({reasons})."
    )


def aggregates_table(found: Comparable) -> Table[AggregateSummary]:
    """Aggregates over the tasks, one row per selector."""
    rows, scale = aggregates(found), scale_of(found)
    roles: Mapping[Role, str] = {role: heading for heading, role in ROLE_BLOCKS}
    return Table(
        name="overview-aggregates",
        title="All spaces and images together",
        columns=(
            SELECTOR,
            Column(
                "Average rank",
                better="↓",
                show=lambda row: number(row.average_rank),
                rank=lambda row: row.average_rank,
                short="Rank",
            ),
            Column(
                f"Chance to be better than {_rival(found)}",
                show=lambda row: "" if row.label == row.rival else number(row.better.value),
                key="better",
            ),
            Column(
                "Interval of the chance",
                key="better_interval",
                priority=3,
                show=lambda row: "" if row.label == row.rival else interval(row.better),
                shown=any(row.better.low is not None for row in rows),
            ),
            Column(
                scale.heading,
                "%",
                "↑",
                show=lambda row: number(row.interquartile_mean.value),
                rank=lambda row: row.interquartile_mean.value,
                shown=bool(scale.scaled),
                key="interquartile_mean",
            ),
            Column(
                "Interval of the mean",
                "%",
                key="interquartile_mean_interval",
                priority=3,
                show=lambda row: interval(row.interquartile_mean),
                shown=any(row.interquartile_mean.low is not None for row in rows),
            ),
            Column("Runs", show=lambda row: str(row.runs), priority=2),
        ),
        blocks=[Block(heading, [row for row in rows if row.role == role]) for role, heading in roles.items()],
        notes=tuple(_notes(found, rows, scale)),
        data=rows,
    )


def _notes(found: Comparable, rows: Sequence[AggregateSummary], scale: Scale) -> Iterator[str]:
    tasks = [f"{task} ({_counted(values)})" for task, values in found.accuracies.items()]
    yield (
        f"Over {len(tasks)} tasks, and of each the seeds for which every selector here has an accuracy: "
        f"{'; '.join(tasks)}."
    )
    for task, reason in found.left_out.items():
        yield f"Left out: {task}, {reason}."
    if found.absent:
        yield f"Without any accuracy: {listing(found.absent)}."
    if any(row.role == "random" for row in rows):
        yield "Best selector in bold, runner-up underlined, as printed; random choice has a rank, but does not compete."
    yield from _rank_notes(ranks_of(found), found)
    yield (
        f"Chance to be better: that a run of the row's selector has a higher test accuracy than one of {rows[0].rival} "
        "on the same task, equal ones counting half, mean over tasks (Agarwal et al., 2021)."
    )
    yield scale.note
    if scale.scaled:
        few = " With fewer than four runs it is their mean." if min(row.runs for row in rows) < 4 else ""
        yield (
            "Interquartile mean: mean of the middle half of a selector's runs on all tasks (Agarwal et al., 2021)."
            f"{few}"
        )
    if any(estimate.low is not None for row in rows for estimate in (row.better, row.interquartile_mean)):
        yield (
            "Intervals: 95 % bootstrap intervals that resample the seeds of each task, so they say nothing about other "
            f"tasks; with few seeds they are too narrow (docs/statistics.md). {UNDEFINED_NOTE}"
        )
    if min(len(values) for each in found.accuracies.values() for values in each.values()) < FEWEST_FOR_BOOTSTRAP:
        yield f"There are no intervals, since a task has fewer than {FEWEST_FOR_BOOTSTRAP} common seeds."


def _counted(values: Mapping[str, Sequence[float]]) -> str:
    count = len(next(iter(values.values())))
    return "1 seed" if count == 1 else f"{count} seeds"


def _rank_notes(ranks: AverageRanks, found: Comparable) -> Iterator[str]:
    yield "Average rank: of the mean test accuracies on every task; 1 is the best, equal means share their ranks."
    methods = len(ranks.ranks)
    if ranks.critical_difference is None:
        yield "Two selectors: ranks count on how many tasks either is better; tests of ranks are for three or more."
        return
    fewest = fewest_tasks(methods)
    if ranks.tasks < fewest:
        yield (
            f"No difference between average ranks can be distinguished from chance here: by Nemenyi's test, {methods} "
            f"selectors take at least {fewest} tasks for that, so there is no diagram of critical differences."
        )
        return
    groups = "; ".join(listing(clique) for clique in ranks.cliques if len(clique) > 1)
    yield (
        f"Nemenyi's test at 5 % distinguishes average ranks of {methods} selectors over {ranks.tasks} tasks that are "
        f"at least {number(ranks.critical_difference)} apart (Demšar, 2006). "
        + (f"Not distinguished from each other: {groups}." if groups else "All are that far apart.")
    )
    if ranks.p_value is not None:
        rough = f", an approximation that is rough below {ENOUGH_TASKS} tasks" if ranks.tasks < ENOUGH_TASKS else ""
        yield f"Friedman's test of equal ranks: p = {number(ranks.p_value, 4)}{rough}."
    trials = [found.runs[task].all[0].trial for task in found.accuracies]
    if len({trial.images for trial in trials}) < len(trials) or len({trial.space for trial in trials}) < len(trials):
        yield (
            "Both tests take tasks for independent; tasks with the same space or the same images are less than that, "
            "so they count for less than their number."
        )
