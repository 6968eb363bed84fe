"""What a run would do, as `opselect run --dry-run` prints it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from opselect.bench.report.formatting import number
from opselect.bench.report.render import Block, Column, Table
from opselect.bench.runs.plan import Past, Plan
from opselect.bench.runtime.forecast import Kind


@dataclass(frozen=True)
class PlanRow:
    """The steps of one kind that would run.

    Attributes:
        what: Kind of work: `trials`, `supernets` or `networks`.
        label: Label of the selector or name of the supernet training; empty for networks.
        to_run: Number of steps that would run; of networks, at most.
        done: Number of steps that are done; None where that is not counted.
        seconds: Mean seconds of such a step in an earlier run; None where there was none.
    """

    what: str
    label: str
    to_run: int
    done: int | None
    seconds: float | None


def plan_rows(plan: Plan, past: Mapping[Kind, Past]) -> list[PlanRow]:
    """One row per kind of steps: supernets, trials, then networks.

    Args:
        plan: What a run of an experiment would do.
        past: How long steps took in earlier runs.
    """
    steps = plan.steps

    def row(what: str, label: str, done: int | None) -> PlanRow:
        kind = plan.kind(what, label)
        known = past.get(kind)
        return PlanRow(what, label, steps.get(kind, 0), done, None if known is None else fmean(known.seconds))

    supernets = dict.fromkeys(job.supernet.name for job in plan.supernets)
    return [
        *(row("supernets", name, None) for name in supernets),
        *(row("trials", label, plan.done.get(label, 0)) for label in plan.experiment.labels),
        *([row("networks", "", None)] if plan.networks else []),
    ]


def plan_table(plan: Plan, past: Mapping[Kind, Past]) -> Table[PlanRow]:
    """The steps of a plan, one row per kind.

    Args:
        plan: What a run of an experiment would do.
        past: How long steps took in earlier runs.
    """
    rows = plan_rows(plan, past)
    return Table(
        name="plan",
        title="What would run",
        columns=(
            Column("work", show=lambda row: row.what, numeric=False),
            Column("of", show=lambda row: row.label, numeric=False, wraps=True),
            Column("to run", show=lambda row: f"≤ {row.to_run}" if row.what == "networks" else str(row.to_run)),
            Column("done", show=lambda row: "" if row.done is None else str(row.done)),
            Column("seconds each", show=lambda row: number(row.seconds, 1)),
        ),
        blocks=[Block("", rows)],
        data=rows,
    )


def plan_data(plan: Plan, past: Mapping[Kind, Past]) -> dict[str, Any]:
    """The steps of a plan as JSON data.

    Args:
        plan: What a run of an experiment would do.
        past: How long steps took in earlier runs.
    """
    return {
        "name": plan.name or plan.experiment.name,
        "folder": str(plan.folder),
        "trials": len(plan.waiting),
        "done": sum(plan.done.values()),
        "supernets": len(plan.supernets),
        "supernets_trained": plan.trained,
        "networks_at_most": plan.networks,
        "steps": [vars(row) for row in plan_rows(plan, past)],
    }


def unknown_kinds(plans: Sequence[Plan], past: Iterable[Kind]) -> list[str]:
    """The kinds of steps that would run and of which no earlier run is known, in words.

    Args:
        plans: The plans.
        past: The kinds of which one is known.
    """
    known = set(past)
    kinds = dict.fromkeys(kind for plan in plans for kind, count in plan.steps.items() if count and kind not in known)
    return [" ".join(part for part in kind if part) for kind in kinds]
