"""A run against a baseline: what changed, whether it is worse, and whether that can be told from noise.

Where nothing that determines a trial differs (settings, data, versions, machine), its record must be the same to the
last bit, and any difference is a change of the code. Elsewhere the difference of the means is judged: paired by seed
where both have the seeds, by Welch's test where they have others, corrected for the number of comparisons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from opselect.bench.report import summaries
from opselect.bench.report.render import UNDEFINED, escape_markdown, number
from opselect.bench.runs.records import Record
from opselect.bench.runs.trials import Trials
from opselect.bench.statistics import Comparison, holm, t_test
from opselect.spaces.errors import UserError

Verdict: TypeAlias = Literal[
    "same", "no difference", "better", "worse", "changed", "slower", "failed", "not comparable"
]
REGRESSIONS: frozenset[Verdict] = frozenset({"worse", "changed", "slower", "failed"})

# Of the environment, what may change the last bits of a result.
DECISIVE = ("processor", "torch threads", "versions")
# Times below this say more about the machine's other work than about the selector.
SHORTEST_SECONDS = 1.0
MOST_DETAILS = 3


class CannotCompare(UserError, ValueError):
    """Two runs of which nothing can be said together; the message says why."""


@dataclass(frozen=True)
class Judgement:
    """One measure of one selector, against the baseline's.

    Attributes:
        measure: `test accuracy` or `first-step Spearman with best-acc`.
        comparison: run minus baseline.
        p_value: corrected by Holm's method for all measures of all selectors; None where there is none.
    """

    measure: str
    comparison: Comparison
    p_value: float | None


@dataclass(frozen=True)
class Finding:
    """What is to be said of one selector.

    Attributes:
        label: as in the baseline.
        verdict: the worst of what was found.
        reasons: why, a sentence each.
        seeds: that both runs have.
        exact: for how many of them nothing but the code can differ.
        equal: for how many of all common seeds the selected architecture is the same.
        judgements: of the measures that both runs have.
        cost_ratio: search seconds of the run over those of the baseline, geometric mean over common seeds.
        evaluations_ratio: the same of score evaluations.
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
    run: Trials, baseline: Trials, level: float = 0.05, cost_tolerance: float = 2.0, statistical: bool = False
) -> list[Finding]:
    """Compare every selector of the baseline with the one of the same label in the run.

    Args:
        run: what is checked.
        baseline: what it is checked against.
        level: largest chance of calling a difference where there is none, over all selectors and measures together.
        cost_tolerance: how many times slower a search may be on the same kind of processor.
        statistical: judge means even where records should be the same to the last bit.

    Raises:
        CannotCompare: spaces, images or tables differ, or no label is in both.
    """
    _check_comparability(run, baseline)
    labels = [label for label in baseline.labels if baseline.records[label]]
    if not set(labels) & set(run.labels):
        raise CannotCompare(
            f"the run has the selectors {', '.join(run.labels)}, the baseline {', '.join(labels)}; expected one in both"
        )
    compared_measures = {label: _measures(run, baseline, label) for label in labels if label in run.labels}
    flat = [(label, name) for label, measures in compared_measures.items() for name in measures]
    corrected = dict(zip(flat, holm([compared_measures[label][name].p_value for label, name in flat]), strict=True))
    findings = []
    for label in labels:
        judgements = tuple(
            Judgement(name, comparison, corrected[label, name])
            for name, comparison in compared_measures.get(label, {}).items()
        )
        findings.append(_finding(run, baseline, label, judgements, level, cost_tolerance, statistical))
    return findings


def status_of(findings: Sequence[Finding]) -> int:
    """The exit status: 0 without a change for the worse, 1 with one, 2 where something could not be compared."""
    verdicts = {finding.verdict for finding in findings}
    return 1 if verdicts & REGRESSIONS else 2 if "not comparable" in verdicts else 0


def _check_comparability(run: Trials, baseline: Trials) -> None:
    for what, values in (
        ("space", [_only(trials, lambda record: record.trial.space) for trials in (run, baseline)]),
        ("hash of the images", [_only(trials, lambda record: record.trial.images_hash) for trials in (run, baseline)]),
        (
            "fingerprint of the table",
            [
                _only(trials, lambda record: record.trial.table.fingerprint if record.trial.table else "none")
                for trials in (run, baseline)
            ],
        ),
    ):
        if values[0] != values[1]:
            raise CannotCompare(f"{what}: {values[0]} in the run, {values[1]} in the baseline; expected the same")


def _only(trials: Trials, value: Any) -> str:
    return ", ".join(sorted({value(record) for record in trials.all})) or "nothing"


def _measures(run: Trials, baseline: Trials, label: str) -> dict[str, Comparison]:
    """Run minus baseline, by measure, of those that both have."""
    found = {}
    accuracies = [trials.values(label, lambda result: result.test_accuracy) for trials in (run, baseline)]
    agreements = [summaries.first_agreement_by_seed(trials, label) for trials in (run, baseline)]
    for name, (ours, theirs) in (
        ("test accuracy", accuracies),
        ("first-step Spearman with best-acc", agreements),
    ):
        comparison = t_test(ours, theirs)
        if comparison.difference.value is not None:
            found[name] = comparison
    return found


def _finding(
    run: Trials,
    baseline: Trials,
    label: str,
    judgements: tuple[Judgement, ...],
    level: float,
    cost_tolerance: float,
    statistical: bool,
) -> Finding:
    ours = {record.trial.seed: record for record in run.records.get(label, ())}
    theirs = {record.trial.seed: record for record in baseline.records[label] if record.result is not None}
    pairs = {seed: (ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())}
    done = {seed: pair for seed, pair in pairs.items() if pair[0].result is not None}
    exact = {seed: pair for seed, pair in done.items() if _must_be_equal(*pair)}
    found: list[tuple[Verdict, str]] = []
    failed = [record for record in ours.values() if record.result is None]
    if not ours:
        found.append(("not comparable", "the run has no trial of it"))
    elif len(failed) == len(ours):
        found.append(("failed", f"all {len(ours)} trials failed: {failed[0].reason}"))
    elif failed:
        found.append(("failed", f"{len(failed)} of {len(ours)} trials failed: {failed[0].reason}"))
    changed = [] if statistical else [seed for seed, pair in exact.items() if not is_same_outcome(*pair)]
    found += [("changed", change_between(*done[seed])) for seed in changed[:MOST_DETAILS]]
    if len(changed) > MOST_DETAILS:
        found.append(("changed", f"and {len(changed) - MOST_DETAILS} more seeds"))
    all_exact = bool(done) and len(exact) == len(ours) == len(theirs) and not statistical
    if not all_exact:
        found += [_judged(each, level) for each in judgements]
        if ours and not judgements and not failed:
            found.append(("not comparable", "fewer than two seeds with an accuracy in both"))
    ratio = _ratio(done, lambda record: record.cost.search_seconds if record.cost else 0.0)
    evaluations = _ratio(done, lambda record: float(record.cost.evaluations) if record.cost else 0.0)
    if ratio is not None and ratio > cost_tolerance and _same_processor(done):
        found.append(("slower", f"its search takes {ratio:.2f} times as long, allowed are {cost_tolerance:g}"))
    if all_exact and not found:
        found.append(("same", ""))
    order: tuple[Verdict, ...] = (
        "failed", "changed", "worse", "slower", "not comparable", "better", "no difference", "same",
    )  # fmt: skip
    verdict = min((kind for kind, _ in found), key=order.index)
    return Finding(
        label=label,
        verdict=verdict,
        reasons=tuple(reason for kind, reason in found if reason and (kind == verdict or kind in REGRESSIONS)),
        seeds=len(pairs),
        exact=len(exact),
        equal=sum(_architecture(one) == _architecture(other) for one, other in done.values()),
        judgements=judgements,
        cost_ratio=ratio,
        evaluations_ratio=evaluations,
    )


def _must_be_equal(ours: Record, theirs: Record) -> bool:
    """Whether nothing but the code can make a difference between two trials."""
    return ours.key == theirs.key and all(
        ours.environment.get(item) == theirs.environment.get(item) for item in DECISIVE
    )


def is_same_outcome(ours: Record, theirs: Record) -> bool:
    """Whether two trials came out equal to the last bit, costs aside."""

    def outcome(record: Record) -> str:
        # As text, in which NaN equals itself.
        return record.result.model_dump_json() if record.result else ""

    return outcome(ours) == outcome(theirs)


def _architecture(record: Record) -> str | None:
    return record.result.architecture if record.result else None


def change_between(ours: Record, theirs: Record) -> str:
    """What is different in a record that should be the same as an earlier one."""
    seed = ours.trial.seed
    if ours.result is None or theirs.result is None:
        fate = [f"failed ({record.reason})" if record.result is None else "finished" for record in (ours, theirs)]
        return f"seed {seed}: {fate[0]}, before {fate[1]}"
    if ours.result.architecture != theirs.result.architecture:
        return f"seed {seed}: selects {ours.result.architecture}, before {theirs.result.architecture}"
    for place, (mine, other) in enumerate(zip(ours.result.steps, theirs.result.steps, strict=False), start=1):
        if mine.model_dump_json() != other.model_dump_json():
            return f"seed {seed}: the same architecture, other scores or another order from step {place} on"
    return f"seed {seed}: the same architecture and steps, but other candidates or accuracies"


def _judged(judgement: Judgement, level: float) -> tuple[Verdict, str]:
    mean, p_value = judgement.comparison.difference, judgement.p_value
    if p_value is None or p_value >= level or not mean.value:
        return "no difference", ""
    interval = "" if mean.low is None else f", 95 % interval [{number(mean.low)}, {number(mean.high)}]"
    text = f"{judgement.measure}: {number(mean.value)}{interval}, p = {p_value:.2g} ({judgement.comparison.test})"
    return ("better", text) if mean.value > 0 else ("worse", text)


def _ratio(pairs: Mapping[int, tuple[Record, Record]], value: Any) -> float | None:
    """The geometric mean over seeds of run by baseline; None where times are too short or there are none."""
    values = [(value(one), value(other)) for one, other in pairs.values()]
    if not values or any(one <= 0 or other <= 0 for one, other in values):
        return None
    return math.exp(math.fsum(math.log(one / other) for one, other in values) / len(values))


def _same_processor(pairs: Mapping[int, tuple[Record, Record]]) -> bool:
    """Whether times may be compared: the same kind of processor and device, and searches of some length."""
    return all(
        one.environment.get("processor") == other.environment.get("processor")
        and one.trial.device == other.trial.device
        and one.cost is not None
        and other.cost is not None
        and max(one.cost.search_seconds, other.cost.search_seconds) >= SHORTEST_SECONDS
        for one, other in pairs.values()
    )


def markdown(findings: Sequence[Finding], run: str, baseline: str) -> str:
    """What was found, in Markdown that fits a pull request."""
    headline = {
        0: "No change for the worse",
        1: "**Changed for the worse**",
        2: "**Not everything can be compared**",
    }[status_of(findings)]
    lines = [
        f"{headline}: {escape_markdown(run)} against {escape_markdown(baseline)}.",
        "",
        "| selector | verdict | same architectures | test accuracy | first-step Spearman | time | evaluations |",
        "| :--- | :--- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for finding in findings:
        by_name = {each.measure: each for each in finding.judgements}
        mark = "**" if finding.verdict in REGRESSIONS else ""
        lines.append(
            f"| {escape_markdown(finding.label)} | {mark}{finding.verdict}{mark} "
            f"| {finding.equal} of {finding.seeds} "
            f"| {_shown(by_name.get('test accuracy'))} "
            f"| {_shown(by_name.get('first-step Spearman with best-acc'))} "
            f"| {_times(finding.cost_ratio)} | {_times(finding.evaluations_ratio)} |"
        )
    reasons = [
        f"- {escape_markdown(f'{finding.label}: {reason}')}" for finding in findings for reason in finding.reasons
    ]
    notes = [
        "",
        "Run minus baseline: mean difference, in brackets the p-value corrected by Holm's method. Where versions, "
        "settings and machine are the same, records must be the same to the last bit (`same` or `changed`).",
    ]
    return "\n".join([*lines, *([""] if reasons else []), *reasons, *notes]) + "\n"


def _shown(judgement: Judgement | None) -> str:
    if judgement is None:
        return UNDEFINED
    value = judgement.comparison.difference.value
    sign = "+" if value is not None and value > 0 else ""
    p_value = UNDEFINED if judgement.p_value is None else f"{judgement.p_value:.2g}"
    return f"{sign}{number(value)} ({p_value})"


def _times(ratio: float | None) -> str:
    return UNDEFINED if ratio is None else f"× {ratio:.2f}"
