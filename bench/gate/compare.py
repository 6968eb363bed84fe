"""Comparison of a run with a baseline: what changed, whether it is worse, and whether it is more than noise.

Where nothing that determines a trial differs (settings, data, versions, machine), its record must be the same to the
last bit, and any difference is a change of the code. Elsewhere the difference of the means is judged, all measures of
all selectors together: by flipping the signs of the differences where enough seeds are in both, else by exchanging
seeds between the two. An alarm is about one direction, so five common seeds can raise it: p = 1 / 2^5 = 0.031.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

from rich.console import Console
from rich.text import Text

from opselect.bench.report.formatting import UNDEFINED, number
from opselect.bench.report.render import Block, Column, Table, escape_markdown, terminal
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run
from opselect.bench.statistics.comparisons import BySeed
from opselect.bench.statistics.shifts import Shift, shifts
from opselect.bench.summaries.agreement import first_agreement_by_seed
from opselect.spaces.errors import UserError


class Verdict(IntEnum):
    """Verdict on a selector, ordered by severity; from `SLOWER` on it is a change for the worse."""

    SAME = 0
    NO_DIFFERENCE = 1
    BETTER = 2
    NOT_COMPARABLE = 3
    SLOWER = 4
    WORSE = 5
    CHANGED = 6
    FAILED = 7

    @property
    def text(self) -> str:
        """The verdict in words, for example `no difference`."""
        return self.name.lower().replace("_", " ")

    @property
    def is_regression(self) -> bool:
        """Whether it is a change for the worse."""
        return self >= Verdict.SLOWER


# Of the environment, what may change the last bits of a result.
DECISIVE = ("processor", "torch threads", "versions")
# Times below this say more about the machine's other work than about the selector.
SHORTEST_SECONDS = 1.0
MOST_DETAILS = 3

Pair: TypeAlias = tuple[Record, Record]
"""Trials of one seed: in the run, and in the baseline."""


class CannotCompare(UserError, ValueError):
    """Two runs that cannot be compared; the message says why."""


class Reason(NamedTuple):
    """A verdict, and the sentence that explains it; empty where there is nothing to explain."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Judgement:
    """One measure of one selector, against that of the baseline.

    Attributes:
        measure: `test accuracy` or `first-step Spearman with best-acc`.
        shift: Run minus baseline, with a p-value corrected for all measures of all selectors.
    """

    measure: str
    shift: Shift


@dataclass(frozen=True)
class Finding:
    """The comparison of one selector with the baseline.

    Attributes:
        label: Label of the selector in the baseline.
        verdict: The most severe verdict that has a reason.
        reasons: Sentences that explain the verdict and every change for the worse.
        seeds: Number of seeds that both runs have.
        exact: Number of common seeds where nothing but the code can make a difference.
        equal: Number of common seeds with the same selected architecture.
        judgements: One per measure that both runs have.
        cost_ratio: Search seconds of the run over those of the baseline, geometric mean over common seeds.
        evaluations_ratio: Score evaluations of the run over those of the baseline, the same mean.
    """

    label: str
    verdict: Verdict
    reasons: tuple[str, ...]
    seeds: int
    exact: int
    equal: int
    judgements: tuple[Judgement, ...]
    cost_ratio: float | None
    evaluations_ratio: float | None


def check(
    run: Run,
    baseline: Run,
    level: float = 0.05,
    cost_tolerance: float = 2.0,
    statistical: bool = False,
    selectors: Sequence[str] = (),
) -> list[Finding]:
    """Compare every selector of the baseline with the one of the same label in the run.

    Args:
        run: Trials that are checked.
        baseline: Trials that are trusted.
        level: Chance of any false alarm, over all selectors and measures together; a change for the better is none.
        cost_tolerance: How many times slower a search may be on the same kind of processor.
        statistical: Judge means even where records should be the same to the last bit.
        selectors: Labels to compare; all of the baseline if empty.

    Returns:
        One finding per selector of the baseline, in its order.

    Raises:
        CannotCompare: Spaces, images or tables differ, no label is in both, or the baseline lacks one of `selectors`.
    """
    _check_comparability(run, baseline)
    labels = [label for label in baseline.labels if baseline.records[label]]
    if unknown := [label for label in selectors if label not in labels]:
        raise CannotCompare(f"no selector labelled {unknown[0]!r} in the baseline; it has {', '.join(labels)}")
    labels = [label for label in labels if not selectors or label in selectors]
    if not set(labels) & set(run.labels):
        raise CannotCompare(
            f"the run has the selectors {', '.join(run.labels)}, the baseline {', '.join(labels)}; expected one in both"
        )
    measures = {
        (label, name): values
        for label in labels
        if label in run.labels
        for name, values in _measures(run, baseline, label).items()
    }
    shifted = shifts(measures, level)
    findings = []
    for label in labels:
        judgements = tuple(
            Judgement(name, shift)
            for (labelled, name), shift in shifted.items()
            if labelled == label and shift.value is not None
        )
        findings.append(
            _finding(
                label,
                {record.trial.seed: record for record in run.records.get(label, ())},
                {record.trial.seed: record for record in baseline.records[label] if record.result is not None},
                judgements,
                level=level,
                cost_tolerance=cost_tolerance,
                statistical=statistical,
            )
        )
    return findings


def status_of(findings: Sequence[Finding]) -> int:
    """The exit status: 0 without a change for the worse, 1 with one, 2 where something could not be compared."""
    worst = max((finding.verdict for finding in findings), default=Verdict.SAME)
    return 1 if worst.is_regression else 2 if worst is Verdict.NOT_COMPARABLE else 0


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The exit status and the findings as data that JSON can hold."""
    return {
        "status": status_of(findings),
        "findings": [asdict(finding) | {"verdict": finding.verdict.text} for finding in findings],
    }


def _check_comparability(run: Run, baseline: Run) -> None:
    for what, values in (
        ("space", [_values(trials, lambda record: record.trial.space) for trials in (run, baseline)]),
        (
            "hash of the images",
            [_values(trials, lambda record: record.trial.images_hash) for trials in (run, baseline)],
        ),
        (
            "fingerprint of the table",
            [
                _values(trials, lambda record: record.trial.table.fingerprint if record.trial.table else "none")
                for trials in (run, baseline)
            ],
        ),
    ):
        if values[0] != values[1]:
            raise CannotCompare(f"{what}: {values[0]} in the run, {values[1]} in the baseline; expected the same")


def _values(trials: Run, value: Callable[[Record], str]) -> str:
    return ", ".join(sorted({value(record) for record in trials.all})) or "nothing"


def _measures(run: Run, baseline: Run, label: str) -> dict[str, tuple[BySeed, BySeed]]:
    """Values by seed of the run and of the baseline, for every measure."""
    accuracies = [trials.values(label, lambda result: result.test_accuracy) for trials in (run, baseline)]
    agreements = [first_agreement_by_seed(trials, label) for trials in (run, baseline)]
    return {
        "test accuracy": (accuracies[0], accuracies[1]),
        "first-step Spearman with best-acc": (agreements[0], agreements[1]),
    }


def _finding(
    label: str,
    ours: Mapping[int, Record],
    theirs: Mapping[int, Record],
    judgements: tuple[Judgement, ...],
    *,
    level: float,
    cost_tolerance: float,
    statistical: bool,
) -> Finding:
    """Compare the trials of one selector.

    Args:
        label: Label of the selector.
        ours: Records of the run by seed, failed ones included.
        theirs: Records of the finished trials of the baseline by seed.
        judgements: One per measure that both have.
        level: Largest corrected p-value that counts as a difference, exclusive.
        cost_tolerance: How many times slower a search may be.
        statistical: Whether to judge means even where records should be equal.
    """
    common = sorted(ours.keys() & theirs.keys())
    finished = [(ours[seed], theirs[seed]) for seed in common if ours[seed].result is not None]
    exact = [pair for pair in finished if _must_be_equal(*pair)]
    all_exact = bool(exact) and len(exact) == len(finished) and not statistical
    cost_ratio = _ratio(finished, lambda record: record.cost.search_seconds if record.cost else 0.0)
    if not ours:
        reasons = [Reason(Verdict.NOT_COMPARABLE, "the run has no trial of it")]
    else:
        reasons = [
            *_failures(tuple(ours.values())),
            *([] if statistical else _changes(exact)),
            *([] if all_exact else _judged_means(judgements, level)),
            *_slowdown(cost_ratio, finished, cost_tolerance),
        ] or [Reason(Verdict.SAME, _other_seeds(len(common), len(ours), len(theirs)))]
    verdict = max(reason.verdict for reason in reasons)
    return Finding(
        label=label,
        verdict=verdict,
        reasons=tuple(
            reason.text
            for reason in reasons
            if reason.text and (reason.verdict is verdict or reason.verdict.is_regression)
        ),
        seeds=len(common),
        exact=len(exact),
        equal=sum(_architecture(record) == _architecture(before) for record, before in finished),
        judgements=judgements,
        cost_ratio=cost_ratio,
        evaluations_ratio=_ratio(finished, lambda record: float(record.cost.evaluations) if record.cost else 0.0),
    )


def _failures(records: Sequence[Record]) -> list[Reason]:
    """One reason if any trial failed, with the reason of the first failed trial."""
    failed = [record for record in records if record.result is None]
    if not failed:
        return []
    count = f"all {len(records)}" if len(failed) == len(records) else f"{len(failed)} of {len(records)}"
    return [Reason(Verdict.FAILED, f"{count} trials failed: {failed[0].reason}")]


def _other_seeds(common: int, ours: int, theirs: int) -> str:
    """The sentence on how many seeds are the same, if these are not all seeds."""
    if common == ours == theirs:
        return ""
    return f"same on {common} common seed{'s' if common > 1 else ''}; the run has {ours}, the baseline {theirs}"


def _changes(pairs: Sequence[Pair]) -> list[Reason]:
    """Differences between records that should be equal to the last bit: the first few, then how many more."""
    changed = [pair for pair in pairs if not is_same_outcome(*pair)]
    texts = [change_between(*pair) for pair in changed[:MOST_DETAILS]]
    if len(changed) > MOST_DETAILS:
        texts.append(f"and {len(changed) - MOST_DETAILS} more seeds")
    return [Reason(Verdict.CHANGED, text) for text in texts]


def _judged_means(judgements: Sequence[Judgement], level: float) -> list[Reason]:
    """One reason per measure, or that there is none to judge."""
    if not judgements:
        return [Reason(Verdict.NOT_COMPARABLE, "no seed with an accuracy in both")]
    # A measure may be undefined for some seeds; those with more seeds are enough.
    able = [each for each in judgements if each.shift.smallest_p is not None and each.shift.smallest_p <= level]
    return [_judged_mean(judgement, level) for judgement in able or judgements]


def _slowdown(ratio: float | None, pairs: Sequence[Pair], tolerance: float) -> list[Reason]:
    """One reason if searches take longer than allowed on the same kind of processor."""
    if ratio is None or ratio <= tolerance or not _same_processor(pairs):
        return []
    return [Reason(Verdict.SLOWER, f"its search takes {ratio:.2f} times as long, allowed are {tolerance:g}")]


def _must_be_equal(ours: Record, theirs: Record) -> bool:
    """Whether nothing but the code can make a difference between two trials."""
    return ours.trial.key_without_code == theirs.trial.key_without_code and all(
        ours.environment.get(item) == theirs.environment.get(item) for item in DECISIVE
    )


def is_same_outcome(ours: Record, theirs: Record) -> bool:
    """Whether the results of two trials are equal to the last bit; costs are not compared.

    Args:
        ours: Record of the run.
        theirs: Record of the baseline.
    """

    def outcome(record: Record) -> str:
        # As text, in which NaN equals itself.
        return record.result.model_dump_json() if record.result else ""

    return outcome(ours) == outcome(theirs)


def _architecture(record: Record) -> str | None:
    return record.result.architecture if record.result else None


def change_between(ours: Record, theirs: Record) -> str:
    """Describe how the result of a trial differs from an earlier one of the same label and seed.

    Args:
        ours: Record of the run.
        theirs: Record of the baseline.

    Returns:
        One sentence about the first difference, beginning with the seed.
    """
    seed = ours.trial.seed
    if ours.result is None or theirs.result is None:
        outcomes = [f"failed ({record.reason})" if record.result is None else "finished" for record in (ours, theirs)]
        return f"seed {seed}: {outcomes[0]}, before {outcomes[1]}"
    if ours.result.architecture != theirs.result.architecture:
        return f"seed {seed}: selects {ours.result.architecture}, before {theirs.result.architecture}"
    for number_of_step, (step, before) in enumerate(zip(ours.result.steps, theirs.result.steps, strict=False), start=1):
        if step.model_dump_json() != before.model_dump_json():
            return f"seed {seed}: the same architecture, other scores or another order from step {number_of_step} on"
    return f"seed {seed}: the same architecture and steps, but other candidates or accuracies"


def _judged_mean(judgement: Judgement, level: float) -> Reason:
    """Whether the mean of a measure is better, worse, or not different at the level."""
    shift = judgement.shift
    assert shift.value is not None and shift.p_value is not None and shift.smallest_p is not None
    if abs(shift.value) < 1e-9:
        return Reason(Verdict.NO_DIFFERENCE, "")
    measured = f"{judgement.measure}: {number(shift.value)}"
    if shift.smallest_p > level:
        seeds = f"{shift.n} seed{'s' if shift.n > 1 else ''}"
        return Reason(Verdict.NOT_COMPARABLE, f"{measured}, but {seeds} allow no p below {shift.smallest_p:.2g}")
    if shift.p_value > level:
        return Reason(Verdict.NO_DIFFERENCE, "")
    text = f"{measured} over {shift.n} seeds, p = {shift.p_value:.2g} ({shift.test})"
    return Reason(Verdict.BETTER if shift.value > 0 else Verdict.WORSE, text)


def _ratio(pairs: Sequence[Pair], value: Callable[[Record], float]) -> float | None:
    """Geometric mean of run over baseline; None without pairs, or where a value is not positive."""
    values = [(value(record), value(before)) for record, before in pairs]
    if not values or any(ours <= 0 or theirs <= 0 for ours, theirs in values):
        return None
    return math.exp(math.fsum(math.log(ours / theirs) for ours, theirs in values) / len(values))


def _same_processor(pairs: Sequence[Pair]) -> bool:
    """Whether times may be compared: the same kind of processor and device, and searches of some length."""
    return all(
        record.environment.get("processor") == before.environment.get("processor")
        and record.trial.device == before.trial.device
        and record.cost is not None
        and before.cost is not None
        and max(record.cost.search_seconds, before.cost.search_seconds) >= SHORTEST_SECONDS
        for record, before in pairs
    )


def findings_table(findings: Sequence[Finding]) -> Table[Finding]:
    """The findings as a table, one row per selector.

    Args:
        findings: One per selector.
    """
    return Table(
        name="check",
        title="Comparison with the baseline",
        columns=(
            Column("selector", show=lambda row: row.label, numeric=False, wraps=True),
            Column("verdict", show=lambda row: row.verdict.text, numeric=False),
            Column("same architectures", show=lambda row: f"{row.equal} of {row.seeds}"),
            Column("test accuracy", show=lambda row: _shift_text(row, "test accuracy")),
            Column("first-step Spearman", show=lambda row: _shift_text(row, "first-step Spearman with best-acc")),
            Column("time", show=lambda row: _ratio_text(row.cost_ratio)),
            Column("evaluations", show=lambda row: _ratio_text(row.evaluations_ratio)),
        ),
        blocks=[Block("", findings)],
    )


HEADLINES = {0: "No change for the worse", 1: "Changed for the worse", 2: "Not everything can be compared"}
"""What the exit status says."""

NOTE = (
    "Run minus baseline: mean difference, in brackets the one-sided p-value, corrected for all rows. Where versions, "
    "settings and machine are the same, records must be the same to the last bit (same or changed)."
)


def print_findings(findings: Sequence[Finding], run: str, baseline: str, console: Console) -> None:
    """Print the findings as text.

    Args:
        findings: One per selector.
        run: Name of the run in the headline.
        baseline: Name of the baseline in the headline.
        console: Console to print on.
    """
    headline = f"{HEADLINES[status_of(findings)]}: {run} against {baseline}.\n"
    console.print(Text(headline), soft_wrap=not console.is_terminal)
    console.print(terminal(findings_table(findings)))
    console.print()
    for finding in findings:
        for reason in finding.reasons:
            console.print(Text(f"{finding.label}: {reason}"), soft_wrap=not console.is_terminal)
    console.print(Text(NOTE, "dim"))


def markdown(findings: Sequence[Finding], run: str, baseline: str) -> str:
    """The findings in Markdown that fits a pull request.

    Args:
        findings: One per selector.
        run: Name of the run in the headline.
        baseline: Name of the baseline in the headline.
    """
    status, columns = status_of(findings), findings_table(findings).columns
    mark = "**" if status else ""
    lines = [
        f"{mark}{HEADLINES[status]}{mark}: {escape_markdown(run)} against {escape_markdown(baseline)}.",
        "",
        f"| {' | '.join(column.heading for column in columns)} |",
        f"| {' | '.join('---:' if column.numeric else ':---' for column in columns)} |",
    ]
    for finding in findings:
        selector, verdict, *others = (str(column.show(finding)) for column in columns)
        mark = "**" if finding.verdict.is_regression else ""
        lines.append(f"| {' | '.join([escape_markdown(selector), f'{mark}{verdict}{mark}', *others])} |")
    reasons = [
        f"- {escape_markdown(f'{finding.label}: {reason}')}" for finding in findings for reason in finding.reasons
    ]
    return "\n".join([*lines, *([""] if reasons else []), *reasons, "", NOTE]) + "\n"


def _shift_text(finding: Finding, measure: str) -> str:
    by_name = {judgement.measure: judgement for judgement in finding.judgements}
    return _difference_text(by_name.get(measure))


def _difference_text(judgement: Judgement | None) -> str:
    if judgement is None:
        return UNDEFINED
    value, p_value = judgement.shift.value, judgement.shift.p_value
    sign = "+" if value is not None and value > 0 else ""
    return f"{sign}{number(value)} ({UNDEFINED if p_value is None else f'{p_value:.2g}'})"


def _ratio_text(ratio: float | None) -> str:
    return UNDEFINED if ratio is None else f"× {ratio:.2f}"
