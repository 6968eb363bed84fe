"""`opselect check`: a real change is caught, noise is not, and what cannot be compared is said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.gate.compare import CannotCompare, Verdict, check, markdown, status_of
from opselect.bench.report.render import escape_markdown
from opselect.bench.runs import runner
from opselect.bench.runs.records import Record, Result, read_records
from opselect.bench.runs.run import Run, load_run
from opselect.selectors import methods as catalog
from opselect.selectors.methods import ZeroCostPT
from opselect.selectors.scores import alpha_strength

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]


def changed(trials: Run, label: str, change: Callable[[Record], Record]) -> Run:
    """The trials with other records of one label."""
    return Run({name: tuple(map(change, each)) if name == label else each for name, each in trials.records.items()})


def with_result(**fields: Any) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        assert isinstance(record.result, Result)
        return record.model_copy(update={"result": record.result.model_copy(update=fields)})

    return change


def elsewhere(record: Record) -> Record:
    """The record as another machine would have written it."""
    return record.model_copy(update={"environment": record.environment | {"processor": "another one"}})


def shifted(trials: Run, label: str, shift: Callable[[int], float]) -> Run:
    """Test accuracies of a label moved by some points for each seed, on another machine."""

    def change(record: Record) -> Record:
        assert record.result is not None and record.result.test_accuracy is not None
        moved = record.result.test_accuracy + shift(record.trial.seed)
        return elsewhere(with_result(test_accuracy=moved)(record))

    other = Run({name: tuple(map(elsewhere, each)) for name, each in trials.records.items()})
    return changed(other, label, change)


RESULTS = Path(__file__).parents[3] / "results" / "digits201"
GATE = RESULTS.parent / "gate"


@pytest.fixture(scope="module")
def committed() -> Run:
    """Five seeds of the committed default report: nine selectors."""
    return only_seeds(load_run(RESULTS), set(range(5)))


def verdicts(run: Run, baseline: Run, **options: Any) -> dict[str, str]:
    return {finding.label: finding.verdict.text for finding in check(run, baseline, **options)}


def test_a_run_is_the_same_as_itself(committed: Run) -> None:
    findings = check(committed, committed)
    assert {finding.verdict.text for finding in findings} == {"same"}
    assert status_of(findings) == 0
    assert all((finding.equal, finding.exact, finding.cost_ratio) == (5, 5, 1.0) for finding in findings)


def test_the_smallest_difference_is_a_change_where_nothing_but_the_code_can_make_one(committed: Run) -> None:
    def last_bit(record: Record) -> Record:
        assert record.result is not None
        step = record.result.steps[2]
        scores = {edge: [np.nextafter(value, 9e9) for value in values] for edge, values in step.scores.items()}
        steps = [*record.result.steps[:2], step.model_copy(update={"scores": scores}), *record.result.steps[3:]]
        return with_result(steps=steps)(record)

    run = changed(committed, "darts-pt", last_bit)
    found = {finding.label: finding for finding in check(run, committed)}
    assert found["darts-pt"].verdict.text == "changed"
    assert "the same architecture, other scores or another order from step 3 on" in found["darts-pt"].reasons[0]
    assert "and 2 more seeds" in found["darts-pt"].reasons[-1]
    assert {finding.verdict.text for label, finding in found.items() if label != "darts-pt"} == {"same"}
    assert status_of(list(found.values())) == 1
    # On another machine, and where means are asked for, the last bit is no change.
    assert verdicts(changed(run, "darts-pt", elsewhere), committed)["darts-pt"] == "no difference"
    assert verdicts(run, committed, statistical=True)["darts-pt"] == "no difference"
    text = markdown(list(found.values()), "mine", "theirs")
    assert "**Changed for the worse**: mine against theirs." in text
    assert "| darts-pt | **changed** | 5 of 5 |" in text


def test_verdicts_are_ordered_by_severity_and_spelt_in_words() -> None:
    assert [verdict.text for verdict in sorted(Verdict)] == [
        "same", "no difference", "better", "not comparable", "slower", "worse", "changed", "failed",
    ]  # fmt: skip
    assert [verdict.text for verdict in sorted(Verdict) if verdict.is_regression] == [
        "slower", "worse", "changed", "failed",
    ]  # fmt: skip


def test_a_drop_is_told_from_noise_by_its_size_and_spread(committed: Run) -> None:
    label = "zero-cost-pt (nwot)"
    drop = shifted(committed, label, lambda seed: -10 - 0.5 * seed)
    found = {finding.label: finding for finding in check(drop, committed)}
    assert found[label].verdict.text == "worse"
    assert found[label].exact == 0
    assert found[label].reasons == ("test accuracy: −11.00 over 5 seeds, p = 0.031 (paired sign-flip)",)
    assert verdicts(shifted(committed, label, lambda seed: 10 + 0.5 * seed), committed)[label] == "better"
    noise = shifted(committed, label, lambda seed: (-6.0, 5.0, -4.0, 6.0, -3.0)[seed])
    assert verdicts(noise, committed)[label] == "no difference"
    assert status_of(check(noise, committed)) == 0
    # What would be a finding alone may be chance among eleven selectors with two measures each: another selector that
    # did not get better would look even better under other signs.
    weak = shifted(committed, label, lambda seed: (-6.0, -2.0, -7.0, -3.0, -5.0)[seed])
    assert verdicts(weak, committed)[label] == "worse"
    restless = shifted(weak, "darts-pt", lambda seed: (5.0, -5.0, 5.1, -5.0, 4.9)[seed])
    assert verdicts(restless, committed)[label] == "no difference"
    assert verdicts(restless, committed, selectors=[label]) == {label: "worse"}
    # Five signs cannot reach 3 %, so whole seeds are exchanged, which sees the drop against the spread of each run.
    (stricter,) = check(weak, committed, level=0.03, selectors=[label])
    assert stricter.judgements[0].shift.test == "permutation"


def test_a_slower_search_and_failed_trials_are_regressions(committed: Run) -> None:
    def slow(record: Record) -> Record:
        assert record.cost is not None
        cost = record.cost.model_copy(update={"search_seconds": 3 * record.cost.search_seconds, "evaluations": 60})
        return record.model_copy(update={"cost": cost})

    run = changed(committed, "magnitude", slow)
    (found,) = [finding for finding in check(run, committed) if finding.label == "magnitude"]
    assert found.verdict.text == "slower"
    assert found.reasons == ("its search takes 3.00 times as long, allowed are 2",)
    assert found.evaluations_ratio == pytest.approx(2)
    assert verdicts(run, committed, cost_tolerance=4.0)["magnitude"] == "same"
    # Times of other processors, and those of nothing, say nothing.
    assert verdicts(changed(run, "magnitude", elsewhere), committed)["magnitude"] == "no difference"
    assert verdicts(changed(committed, "random", slow), committed)["random"] == "same"

    def fail(record: Record) -> Record:
        if record.trial.seed != 1:
            return record
        return record.model_copy(update={"status": "failed", "result": None, "cost": None, "reason": "it broke"})

    (found,) = [f for f in check(changed(committed, "darts-pt", fail), committed) if f.label == "darts-pt"]
    assert (found.verdict.text, found.reasons) == ("failed", ("1 of 5 trials failed: it broke",))


def test_what_cannot_be_compared_is_said(committed: Run) -> None:
    missing = Run({label: each for label, each in committed.records.items() if label != "random"})
    findings = check(missing, committed)
    assert status_of(findings) == 2
    assert [(f.label, f.reasons) for f in findings if f.verdict.text == "not comparable"] == [
        ("random", ("the run has no trial of it",))
    ]
    # A selector that only the run has is new.
    assert status_of(check(committed, missing)) == 0

    def other_images(record: Record) -> Record:
        return record.model_copy(update={"trial": record.trial.model_copy(update={"images_hash": "other"})})

    with pytest.raises(CannotCompare, match=r"hash of the images: other in the run, \w+ in the baseline"):
        check(Run({"random": tuple(map(other_images, committed.records["random"]))}), committed)
    with pytest.raises(CannotCompare, match="the run has the selectors new, the baseline magnitude, darts-pt"):
        check(Run({"new": committed.records["random"]}), committed)


def test_other_seeds_are_compared_as_two_samples(committed: Run) -> None:
    def later(record: Record) -> Record:
        return record.model_copy(update={"trial": record.trial.model_copy(update={"seed": record.trial.seed + 100})})

    run = Run({label: tuple(map(later, each)) for label, each in committed.records.items()})
    findings = check(run, committed)
    assert {finding.seeds for finding in findings} == {0}
    assert {each.shift.test for finding in findings for each in finding.judgements} == {"permutation"}
    assert {finding.verdict.text for finding in findings} == {"no difference"}
    worse = shifted(run, "darts-pt", lambda seed: -30.0 + seed % 3)
    assert verdicts(worse, committed)["darts-pt"] == "worse"


def only_seeds(trials: Run, seeds: set[int]) -> Run:
    return Run({label: tuple(r for r in each if r.trial.seed in seeds) for label, each in trials.records.items()})


def test_equal_common_seeds_are_the_same_though_one_run_has_more(committed: Run) -> None:
    fewer = only_seeds(committed, {0, 1, 2, 3})
    for run, baseline, counts in ((committed, fewer, (5, 4)), (fewer, committed, (4, 5))):
        findings = check(run, baseline)
        assert {finding.verdict.text for finding in findings} == {"same"}
        assert status_of(findings) == 0
        sentence = f"same on 4 common seeds; the run has {counts[0]}, the baseline {counts[1]}"
        assert {finding.reasons for finding in findings} == {(sentence,)}
        assert f"- magnitude: {sentence}" in markdown(findings, "mine", "theirs")


def test_too_few_seeds_for_any_alarm_are_not_called_no_difference(committed: Run) -> None:
    label = "darts-pt"
    fewer = [only_seeds(each, {0, 1}) for each in (shifted(committed, label, lambda seed: -9.0 - seed), committed)]
    found = {finding.label: finding for finding in check(*fewer)}
    assert found[label].verdict.text == "not comparable"
    assert found[label].reasons == ("test accuracy: −9.50, but 2 seeds allow no p below 0.25",)
    assert found["magnitude"].verdict.text == "no difference"
    assert status_of(list(found.values())) == 2
    # With three seeds in each, they can be exchanged in 20 ways.
    three = [only_seeds(each, {0, 1, 2}) for each in (shifted(committed, label, lambda seed: -40.0), committed)]
    assert verdicts(*three)[label] == "worse"


def test_only_the_selectors_that_are_named_are_compared(committed: Run) -> None:
    chosen = Run({label: each for label, each in committed.records.items() if label != "random"})
    assert status_of(check(chosen, committed)) == 2
    findings = check(chosen, committed, selectors=["magnitude", "darts-pt"])
    assert [finding.label for finding in findings] == ["magnitude", "darts-pt"]
    assert status_of(findings) == 0
    with pytest.raises(CannotCompare, match="no selector labelled 'mine' in the baseline; it has magnitude, darts-pt"):
        check(chosen, committed, selectors=["mine"])


def test_the_command_prints_text_markdown_or_json_and_exits_by_what_it_found(
    opselect: CommandLine, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(GATE, run, ignore=shutil.ignore_patterns("figures", "tables"))
    status, out, _ = opselect("check", run, "--against", GATE)
    assert status == 0
    assert out.startswith(f"No change for the worse: {run} against")
    assert "\\" not in out, "escapes are for Markdown"
    status, out, _ = opselect("check", run, "--against", GATE, "--markdown")
    assert status == 0
    assert out.startswith(
        f"No change for the worse: {escape_markdown(str(run))} against {escape_markdown(str(GATE))}.\n"
    )
    path = run / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    other = next(line["result"] for line in lines if line["label"] == "random")
    for line in lines:
        del line["checksum"]  # as somebody does who changes a line by hand and means it
        if line["label"] == "darts-pt" and line["trial"]["seed"] == 0:
            line["result"] = other
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert len(read_records(path)) == 35
    status, out, _ = opselect("check", run, "--against", GATE, "--markdown")
    assert status == 1
    assert "| darts-pt | **changed** | 4 of 5 |" in out
    status, out, _ = opselect("check", run, "--against", GATE, "--json")
    assert status == 1
    said = json.loads(out)
    assert said["status"] == 1
    assert {each["verdict"] for each in said["findings"]} == {"same", "changed"}
    status, out, _ = opselect("check", run, "--against", GATE, "-s", "magnitude", "-s", "random", "--markdown")
    assert status == 0
    assert "| magnitude | same |" in out and "darts-pt" not in out
    status, _, error = opselect("check", run, "--against", RESULTS.parent / "nasbench201" / "selection")
    assert status == 2
    assert "space: digits201 in the run, nasbench201 in the baseline; expected the same" in error
    assert opselect("check", run, "--against", tmp_path / "nothing")[0] == 2


def experiment(seeds: range) -> Experiment:
    return parse(
        f'name = "gate"\nspace = "digits201"\nimages = "digits"\nseeds = {list(seeds)}\n'
        '[table]\nname = "digits201"\ndataset = "digits"\nepochs = 10\n'
        '[[selector]]\nname = "zero-cost-pt"\ncandidates = 1\nbatch_size = 64\n',
        "gate.toml",
    )


def ran(folder: Path, seeds: range) -> Run:
    summary = runner.run(experiment(seeds), folder, 1, lambda *_: None)
    assert summary.failed == ()
    return Run.of(summary.records, [])


def wrong_sign(self: ZeroCostPT, question: Any) -> Any:
    score = really_score(self, question)
    return lambda state, edge: -score(state, edge)


def one_edge_ignored(self: ZeroCostPT, question: Any) -> Any:
    score = really_score(self, question)
    return lambda state, edge: torch.zeros(5) if edge == 5 else score(state, edge)


def alpha_instead(self: ZeroCostPT, question: Any) -> Any:
    return alpha_strength


really_score = ZeroCostPT._score_by


@pytest.mark.parametrize("damage", [wrong_sign, one_edge_ignored, alpha_instead], ids=lambda each: each.__name__)
def test_a_damaged_selector_is_caught_at_five_seeds(
    damage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = ran(tmp_path / "baseline", range(5))
    monkeypatch.setattr(catalog.ZeroCostPT, "_score_by", damage)
    run = ran(tmp_path / "run", range(5))
    findings = check(run, baseline)
    assert [finding.verdict.text for finding in findings] == ["changed"]
    assert status_of(findings) == 1
    # On another machine, where only means can be judged, as well.
    (label,) = run.labels
    (finding,) = check(changed(run, label, elsewhere), baseline)
    assert (finding.verdict.text, finding.exact) == ("worse", 0)


@pytest.mark.slow
def test_repeated_runs_with_other_seeds_raise_no_more_false_alarms_than_stated(tmp_path: Path) -> None:
    baseline = ran(tmp_path / "baseline", range(5))
    runs = [ran(tmp_path / str(place), range(100 * place, 100 * place + 5)) for place in range(1, 21)]
    alarms = sum(status_of(check(run, baseline, cost_tolerance=100.0)) == 1 for run in runs)
    # At a level of 5 %, three or more alarms in 20 runs would be a chance of 8 %.
    assert alarms <= 2
