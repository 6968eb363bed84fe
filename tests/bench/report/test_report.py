"""The report is a pure function of records: right numbers, one order, every name escaped, "undefined" said aloud."""

import csv
import io
import math
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opselect.bench.report.formatting import number
from opselect.bench.report.latex import escape_latex
from opselect.bench.report.page import render_markdown, render_tables, reproducible_sections, write_report
from opselect.bench.report.render import csv_text, escape_markdown
from opselect.bench.report.sections import selection
from opselect.bench.report.sections.trials import every_trial
from opselect.bench.runs.records import Record, Result, StepRecord
from opselect.bench.runs.run import MixedRecords, Run
from opselect.bench.summaries import agreement
from opselect.spaces.nasbench201.space import digits201
from tests.bench.report.examples import TABLE, description, finished, measured

EDGES, OPERATIONS = 6, 5
NASTY = "a_b & <c> | %$#{~^\\`*[x](y)"
SELECTORS = {
    "magnitude": "magnitude",
    "darts-pt": "darts-pt",
    "darts-pt-fixed-alpha": "darts-pt-fixed-alpha",
    "disc-acc": "disc-acc",
    "zero-cost-pt (nwot)": "zero-cost-pt",
    "zero-cost-pt (synflow)": "zero-cost-pt",
    "zero-cost-disc (nwot)": "zero-cost-disc",
    "random": "random",
    "best-acc": "best-acc",
    "avg-acc": "avg-acc",
}
LABELS = tuple(SELECTORS)
FEW = ("magnitude", "darts-pt", "random", "best-acc")
"""What depends on no other selector is tested with these: every pair of selectors has intervals to compute."""


def failed(label: str, selector: str, seed: int, reason: str) -> Record:
    """A record without a result."""
    trial = description(selector, seed)
    return Record(
        version=1,
        experiment="digits201",
        label=label,
        trial=trial,
        key=trial.key,
        status="failed",
        reason=reason,
        result=None,
        cost=None,
        environment={},
    )


def example(seeds: int, labels: tuple[str, ...] = FEW) -> list[Record]:
    """A report's worth of records: noisy scores around planted ones, one failure, NaN and infinite scores."""
    planted = np.random.default_rng(0).normal(size=(EDGES, OPERATIONS))
    records = []
    for rank, (label, selector) in enumerate(SELECTORS.items()):
        if label not in labels:
            continue
        for seed in range(seeds):
            if (label, seed) == ("darts-pt", 1):
                records.append(failed(label, selector, seed, "UndecidableEdge: edge 0→1: none of its scores is finite"))
                continue
            generator = np.random.default_rng([rank, seed])
            noise = {"best-acc": 0.1, "avg-acc": 0.4, "random": 1e6}.get(label, 0.3 + 0.4 * rank)
            records.append(finished(label, selector, seed, noisy_result(planted, noise, generator)))
    return records


def noisy_result(planted: np.ndarray, noise: float, generator: np.random.Generator) -> Result:
    """Decide edge after edge by noisy scores."""
    steps: list[StepRecord] = []
    chosen = [0] * EDGES
    for step, edge in enumerate(generator.permutation(EDGES).tolist()):
        open_edges = [e for e in range(EDGES) if e not in {s.edge for s in steps}]
        scores = {e: (planted[e] + noise * generator.normal(size=OPERATIONS)).tolist() for e in open_edges}
        if noise == 0.3 + 0.4 * 5 and step == 0:
            scores[edge][1] = math.nan
            scores[edge][2] = math.inf
        operation = int(np.nanargmax(np.where(np.isfinite(scores[edge]), scores[edge], -np.inf)))
        truth = {
            "best-acc": {e: (80 + 5 * planted[e]).tolist() for e in open_edges},
            "avg-acc": {e: (60 + 5 * planted[e] ** 3 + planted[(e + 1) % EDGES]).tolist() for e in open_edges},
        }
        steps.append(StepRecord(edge=edge, operation=operation, tied=int(step == 2), scores=scores, truth=truth))
        chosen[edge] = operation
    quality = sum(planted[edge, operation] for edge, operation in enumerate(chosen))
    index = sum(operation * OPERATIONS ** (EDGES - 1 - edge) for edge, operation in enumerate(chosen))
    return measured(float(80 + quality), digits201.format(digits201.at(index)), tuple(steps))


def lines_of(files: dict[str, str], name: str) -> list[dict[str, str]]:
    """The lines of one CSV file."""
    return list(csv.DictReader(io.StringIO(files[f"tables/{name}.csv"])))


def accuracies(label: str, selector: str, values: list[float]) -> list[Record]:
    """One finished trial a value."""
    return [finished(label, selector, seed, measured(value)) for seed, value in enumerate(values)]


def one_step(scores: list[list[float]], truth: list[list[float]], tied: int = 0) -> StepRecord:
    """A first step with the scores of some edges, and the same truth for both oracles."""
    by_edge = dict(enumerate(truth))
    return StepRecord(
        edge=0, operation=0, tied=tied, scores=dict(enumerate(scores)), truth={"best-acc": by_edge, "avg-acc": by_edge}
    )


def test_the_order_of_records_changes_no_byte() -> None:
    records = example(seeds=2, labels=LABELS)
    shuffled = records.copy()
    random.Random(3).shuffle(shuffled)
    assert shuffled != records
    assert render_tables(Run.of(shuffled, LABELS)) == render_tables(Run.of(records, LABELS))
    assert render_markdown(Run.of(shuffled, LABELS, title="t")) == render_markdown(Run.of(records, LABELS, title="t"))


def test_labels_come_in_the_order_given_and_then_by_name() -> None:
    records = accuracies("z", "darts-pt", [1.0]) + accuracies("m", "magnitude", [1.0]) + accuracies("a", "x", [1.0])
    assert Run.of(records, ["m", "missing"]).labels == ("m", "missing", "a", "z")


def test_what_readers_must_know_of_sizes_and_epochs_stands_below_the_tables() -> None:
    records = accuracies("magnitude", "magnitude", [50, 60]) + accuracies("zero-cost-pt", "zero-cost-pt", [40])
    labels = ["magnitude", "zero-cost-pt"]
    plain = render_markdown(Run.of(records, labels, title="full size"))
    assert "supernets of" not in plain
    assert "validation accuracies:" not in plain
    changed = []
    for record in records:
        training = record.trial.training and {"epochs": 20, "channels": 4, "cells": 1}
        table = TABLE.model_copy(update={"valid_epochs": 3})
        trial = record.trial.model_copy(update={"training": training, "table": table})
        changed.append(record.model_copy(update={"trial": trial, "key": trial.key}))
    text = render_markdown(Run.of(changed, labels, title="small"))
    small = (
        "The trained supernets of magnitude are small: 4 channel(s) in the first stage, 1 cell(s) a stage, 20 epochs."
    )
    assert small in text
    assert "All other supernets have the full size of the space." in text
    assert "dataset digits, 10 epochs (validation accuracies: 3 epochs), mean over" in text


def test_other_datasets_have_a_table_of_their_own() -> None:
    records = accuracies("magnitude", "magnitude", [50, 60]) + accuracies("random", "random", [40])
    assert "transfer" not in render_markdown(Run.of(records, ["magnitude", "random"], title="one dataset"))
    wider = []
    for record, letters in zip(records, (30.0, 34.0, 20.0), strict=True):
        trial = record.trial.model_copy(update={"table": TABLE.model_copy(update={"also": ("letters",)})})
        assert record.result is not None
        result = record.result.model_copy(update={"other_test_accuracies": {"letters": letters}})
        wider.append(record.model_copy(update={"trial": trial, "key": trial.key, "result": result}))
    text = render_markdown(Run.of(wider, ["magnitude", "random"], title="two datasets"))
    assert "| magnitude | 2 | 32.00 ± 2.83 | 32.00 |" in text
    assert "| random | 1 | 20.00 | 20.00 |" in text
    assert "letters test accuracy (%) ↑" in text
    (line, _) = lines_of(render_tables(Run.of(wider, ["magnitude", "random"])), "transfer")
    assert float(line["test_accuracy_letters_value"]) == 32


def test_selection_by_hand() -> None:
    records = accuracies("magnitude", "magnitude", [70.0, 80.0, 90.0]) + accuracies(
        "darts-pt", "darts-pt", [60.0, 61.0]
    )
    files = render_tables(Run.of(records, ["magnitude", "darts-pt"]))
    first, second = lines_of(files, "selection")
    assert float(first["test_accuracy_value"]) == 80
    assert float(first["test_accuracy_deviation"]) == 10
    assert (first["test_accuracy_low"], first["test_accuracy_note"]) == ("", "fewer than 10 values, no interval")
    assert [first[f"median_accuracy_{name}"] for name in ("value", "low", "high", "coverage")] == [
        "80",
        "70",
        "90",
        "0.75",
    ]
    # Both have the seeds 0 and 1: 75 and 60.5 on average.
    assert [row["common_accuracy_value"] for row in (first, second)] == ["75", "60.5"]
    assert (first["regret_value"], first["valid_accuracy_value"], first["test_accuracy_n"]) == ("10", "81", "3")
    assert second["regret_value"] == "29.5"
    row = next(line for line in files["tables/selection.tex"].splitlines() if line.startswith("magnitude"))
    assert r"80.00 $\pm$ 10.00 & 80.00 & [70.00, 90.00] & \textbf{75.00} & 81.00 & 10.00" in row
    report = render_markdown(Run.of(records, ["magnitude", "darts-pt"], title="t"))
    assert (
        "| magnitude | 3 | 80.00 ± 10.00 | 80.00 | \\[70.00, 90.00\\] | **75.00** | 81.00 | 10.00 | 80.0 | 1 |"
        in report
    )
    assert "| darts-pt | 2 | 60.50 ± 0.71 | 60.50 | – | <u>60.50</u> |" in report
    assert "over the 2 seeds that all selectors have (0, 1); random choice" in report
    assert (
        "Highest mean test accuracy over the 2 seeds that all selectors have: magnitude with 75.00 ± 7.07 %" in report
    )


def test_random_choice_and_oracles_do_not_compete() -> None:
    records = accuracies("magnitude", "magnitude", [50.0, 51.0]) + accuracies("darts-pt", "darts-pt", [40.0, 41.0])
    records += accuracies("the ceiling", "best-acc", [90.0, 89.0]) + accuracies("luck", "random", [70.0, 70.0])
    report = render_markdown(Run.of(records, ["the ceiling", "luck", "magnitude", "darts-pt"], title="t"))
    assert "| magnitude | 2 | **50.50" in report and "| darts-pt | 2 | <u>40.50" in report
    assert "| the ceiling | 2 | 89.50" in report and "| luck | 2 | 70.00" in report
    assert "Highest mean test accuracy: magnitude" in report


def test_what_is_printed_alike_is_marked_alike() -> None:
    records = [
        record
        for label, value in (("a", 50.001), ("b", 50.002), ("c", 49.0), ("d", 48.0))
        for record in accuracies(label, "darts-pt", [value, value])
    ]
    report = render_markdown(Run.of(records, list("abcd"), title="t"))
    assert re.findall(r"^\| (\w) \| 2 \| \*\*50\.00", report, re.MULTILINE) == ["a", "b"]
    assert "<u>49.00" not in report


def test_failed_trials_are_counted_and_give_their_reason() -> None:
    records = [*accuracies("m", "magnitude", [50.0, 52.0]), failed("m", "magnitude", 2, "it\nbroke | badly")]
    files = render_tables(Run.of(records, ["m"]))
    (row,) = lines_of(files, "selection")
    assert (row["trials"], row["failed"], row["test_accuracy_n"], row["test_accuracy_value"]) == ("3", "1", "2", "51")
    assert lines_of(files, "failures")[0]["reason"] == "it broke | badly"
    report = render_markdown(Run.of(records, ["m"], title="t"))
    assert "| m | 3 (1 failed) |" in report and "| m | 2 | it broke \\| badly |" in report
    assert "| m | 2 | failed | – |" in report


def test_ties_and_non_finite_scores_are_counted() -> None:
    steps = (one_step([[1, math.nan, 3]], [[1, 2, 3]], tied=2), one_step([[math.inf, -math.inf, 3]], [[1, 2, 3]]))
    result = measured(50.0, steps=steps, candidates=[("a", 1.0), ("b", math.nan), ("a", 1.0)])
    (row,) = selection.selection(Run.of([finished("m", "magnitude", 0, result)], []))
    assert (row.decisions, row.tied_decisions, row.scores, row.nonfinite_scores) == (2, 1, 9, 4)
    (trial,) = every_trial(Run.of([finished("m", "magnitude", 0, result)], []))
    assert (trial.candidates, trial.distinct_candidates) == (3, 2)


def test_agreement_by_hand() -> None:
    truth = [[1.0, 2, 3, 4, 5]] * 3
    # Seed 0: perfect, reversed, undefined: 0. Seed 1: perfect and one neighbouring swap (0.9; Kendall 0.8), undefined.
    first = one_step([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [1, 1, 1, 1, 1]], truth)
    second = one_step([[1, 2, 3, 4, 5], [2, 1, 3, 4, 5], [1, 2, math.nan, math.nan, math.nan]], truth)
    records = [
        finished("m", "magnitude", seed, measured(50.0, steps=(step,))) for seed, step in enumerate((first, second))
    ]
    spearman, kendall = agreement.agreements(Run.of(records, []))[:2]
    assert spearman.agreement.value == pytest.approx((0 + 0.95) / 2)
    assert kendall.agreement.value == pytest.approx((0 + 0.9) / 2)
    assert (spearman.edges, spearman.undefined_edges, spearman.dropped_pairs) == (4, 2, 3)


def test_edges_decided_before_a_step_are_not_in_its_agreement() -> None:
    # The second step still carries the reversed scores of edge 0, as an order that ranks once does.
    truth = [[1.0, 2, 3], [1.0, 2, 3]]
    first = one_step([[3, 2, 1], [1, 2, 3]], truth)
    second = StepRecord(edge=1, operation=2, tied=0, scores=first.scores, truth=first.truth)
    rows = agreement.step_agreements(Run.of([finished("m", "magnitude", 0, measured(50.0, steps=(first, second)))], []))
    assert [row.step for row in rows] == [1, 2]
    assert [row.agreement.value for row in rows] == pytest.approx([0, 1])


def test_scores_of_one_edge_only_are_said_to_be_that() -> None:
    step = one_step([[1, 2, 3]], [[1.0, 2, 3]])
    record = finished("m", "magnitude", 0, measured(50.0, steps=(step,)))
    unobserved = record.model_copy(update={"trial": record.trial.model_copy(update={"observe": False})})
    assert "observe = false" not in render_markdown(Run.of([record], ["m"], title="t"))
    assert render_markdown(Run.of([unobserved], ["m"], title="t")).count("observe = false") == 3


def test_correlations_compare_common_seeds_and_leave_references_out() -> None:
    truth = [[1.0, 2, 3]]
    up, down = one_step([[1, 2, 3]], truth), one_step([[3, 2, 1]], truth)
    records = [finished("a", "magnitude", seed, measured(50.0, steps=(up,))) for seed in (0, 1)]
    records += [finished("b", "darts-pt", seed, measured(50.0, steps=(down,))) for seed in (1, 2)]
    records += [finished("luck", "random", 1, measured(50.0, steps=(up,)))]
    rows = agreement.correlations(Run.of(records, ["a", "b", "luck"]))
    found = {(row.first, row.second): (row.agreement.value, row.agreement.n) for row in rows}
    assert found == {
        ("best-acc (test)", "avg-acc (test)"): (1, 3),
        ("best-acc (test)", "a"): (1, 2),
        ("best-acc (test)", "b"): (-1, 2),
        ("avg-acc (test)", "a"): (1, 2),
        ("avg-acc (test)", "b"): (-1, 2),
        ("a", "b"): (-1, 1),
    }


def test_paired_differences_use_common_seeds() -> None:
    records = accuracies("m", "magnitude", [50.0, 52.0, 54.0]) + accuracies("d", "darts-pt", [51.0, 54.0])
    files = render_tables(Run.of(records, ["m", "d"]))
    first, second = lines_of(files, "paired")
    # 51 - 50 and 54 - 52; of the four sign patterns two are as far from zero. There is one pair, so nothing to correct.
    assert (first["first"], first["second"], first["family"]) == ("d", "m", "reference")
    assert (second["first"], second["second"], second["family"]) == ("m", "d", "best")
    assert [row["difference_value"] for row in (first, second)] == ["1.5", "-1.5"]
    assert {(row["p_value"], row["smallest_p"], row["difference_n"]) for row in (first, second)} == {
        ("0.5", "0.5", "2")
    }
    report = render_markdown(Run.of(records, ["m", "d"], title="t"))
    assert "minus m (pp) ↑" in report and "minus d (best) (pp) ↑" in report
    assert "| d | 1.50 | 2 | 0.5000 |  |  |  |" in report


def test_one_seed_has_no_interval() -> None:
    report = render_markdown(Run.of(example(seeds=1), FEW, title="t"))
    row = next(line for line in report.splitlines() if line.startswith("| magnitude | 1 |"))
    assert re.match(r"\| magnitude \| 1 \| (\d\d\.\d\d) \| \1 \|", row)
    assert "Interval of the median" not in report and "95 % interval of" not in report
    # Nobody is the best of one seed.
    assert (
        "**" not in row
        and "No selector is marked as the best: they have 1 seed in common, which is too little." in report
    )


def test_no_records_and_no_table_are_said_and_not_counted_as_zero(tmp_path: Path) -> None:
    report = render_markdown(Run.of([], ["magnitude"], title="t"))
    assert "There are no records." in report and "| magnitude | 0 | – | – | – | – | – | 0 |" in report
    nothing: dict[str, Any] = {
        "valid_accuracy": None,
        "test_accuracy": None,
        "regret": None,
        "percentile": None,
        "test_accuracies": [],
    }
    bare = [finished("m", "magnitude", 0, measured(50.0).model_copy(update=nothing), table=None)]
    report = render_markdown(Run.of(bare, ["m"], title="t"))
    assert "no table of accuracies" in report and "figures/accuracy.png" not in report
    assert "| m | 1 | – | – | 1 |" in report and "Regret" not in report
    assert {path.name for path in write_report(Run.of([], []), tmp_path) if path.suffix == ".png"} == set()


def test_every_version_is_reported_under_its_own_name() -> None:
    facts = {
        row["item"]: row["value"] for row in lines_of(render_tables(Run.of(example(seeds=1), FEW)), "reproducibility")
    }
    assert (facts["Version of opselect"], facts["Version of torch"]) == ("0.1.0", "2.5.1")
    assert (facts["Seeds"], facts["Table, fingerprint"], facts["Images, hash"]) == ("0", "f1e2d3c4", "abc123")


def test_records_of_two_problems_or_two_versions_are_refused() -> None:
    (first,) = accuracies("m", "magnitude", [50.0])
    other_table = TABLE.model_copy(update={"epochs": 200})
    other = finished("m", "magnitude", 1, measured(50.0), table=other_table)
    with pytest.raises(MixedRecords, match=r"2 problems.*10 epochs.*200 epochs"):
        render_tables(Run.of([first, other], ["m"]))
    again = first.model_copy(update={"trial": first.trial.model_copy(update={"software": {"torch": "9"}})})
    with pytest.raises(MixedRecords, match=r"'m', seed 0: 2 records, expected one"):
        render_tables(Run.of([first, again], ["m"]))


def test_times_stand_in_no_reproducible_file() -> None:
    records = example(seeds=2)
    slower = [
        record.model_copy(
            update={
                "environment": {"host": "elsewhere"},
                "cost": record.cost and record.cost.model_copy(update={"search_seconds": 12345.0, "device": "cuda:7"}),
            }
        )
        for record in records
    ]
    assert render_tables(Run.of(slower, FEW)) == render_tables(Run.of(records, FEW))
    assert render_markdown(Run.of(slower, FEW, title="t")) == render_markdown(Run.of(records, FEW, title="t"))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (-0.001, "0.00"), (-1.5, "−1.50"), (2.0, "2.00"), (-0.006, "−0.01")]
)
def test_numbers_have_one_zero_and_a_true_minus(value: float | None, text: str) -> None:
    assert number(value) == text


def test_names_are_escaped_in_latex() -> None:
    assert escape_latex(r"a_b & 5 % $x$ #1 {y} ~ ^ \z < >") == (
        r"a\_b \& 5 \% \$x\$ \#1 \{y\} "
        r"\textasciitilde{} \textasciicircum{} \textbackslash{}z \textless{} \textgreater{}"
    )
    table = render_tables(Run.of(accuracies(NASTY, "magnitude", [50.0, 51.0]), [NASTY]))["tables/selection.tex"]
    row = next(line for line in table.splitlines() if line.startswith(r"a\_b"))
    assert row.startswith(escape_latex(NASTY))
    # Eight column separators beside the escaped ampersand of the name; one column more does not fit.
    assert len(re.findall(r"(?<!\\)&", row)) == 8
    assert "% Left out, too wide: Non-finite scores ↓ (nonfinite_scores)." in table


def test_columns_are_chosen_by_their_names_in_the_csv_file() -> None:
    run = Run.of(example(seeds=2), FEW)
    tables = [table for section in reproducible_sections(run) for table in section.shown_tables]
    checked = 0
    for table in tables:
        header = csv_text(table).split("\n")[0].split(",")
        names = [column.name for column in table.shown_columns]
        assert len(set(names)) == len(names), table.name
        # The CSV files of the other tables have a line for every cell.
        if table.name in ("selection", "trials", "settings", "reproducibility"):
            checked += 1
            for column in table.shown_columns:
                parts = {*column.names, column.name.removesuffix("_interval") + "_low"}
                assert parts & set(header), (table.name, column.name)
    assert checked == 4


def test_names_are_escaped_in_markdown() -> None:
    assert escape_markdown("a|b_*<c>") == r"a\|b\_\*\<c\>"
    records = accuracies(NASTY, "magnitude", [50.0, 51.0])
    report = render_markdown(Run.of(records, [NASTY], title=NASTY, preface={NASTY: NASTY}))
    rows = [line for line in report.splitlines() if line.startswith(f"| {escape_markdown(NASTY)} | 2 |")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 11
    assert report.startswith(f"# {escape_markdown(NASTY)}\n\n- {escape_markdown(NASTY)}: {escape_markdown(NASTY)}\n")
    assert NASTY not in report


class Page(HTMLParser):
    """What a browser makes of a page: its tags, its references, its text by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag and where it points."""
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.texts.append(data)


def test_a_written_report_is_complete_self_contained_and_the_same_again(tmp_path: Path) -> None:
    records = example(seeds=2)
    nasty = [record.model_copy(update={"label": NASTY}) for record in records if record.label == "magnitude"]
    records = [record for record in records if record.label != "magnitude"] + nasty
    labels = [NASTY, "darts-pt", "random", "best-acc"]
    preface = {"Experiment": NASTY}
    run = Run.of(records, labels, title=NASTY, preface=preface)
    first = write_report(run, tmp_path / "first")
    second = write_report(Run.of(records[::-1], labels, title=NASTY, preface=preface), tmp_path / "second")
    contents = {path.relative_to(tmp_path / "first").as_posix(): path.read_bytes() for path in first}
    assert contents == {path.relative_to(tmp_path / "second").as_posix(): path.read_bytes() for path in second}

    figures = ("accuracy", "accuracy_against_time", "cells", "correlations", "steps")
    expected = {f"figures/{name}.{kind}" for name in figures for kind in ("pdf", "png")}
    assert {name for name in contents if name.startswith("figures/")} == expected
    assert {"report.md", "report.html", "timing.md", "tables/timing.csv", "tables/timing.tex"} <= set(contents)
    tables = render_tables(run)
    assert {name: contents[name].decode() for name in tables} == tables
    assert contents["report.md"].decode() == render_markdown(run)
    assert b"CreationDate" not in contents["figures/accuracy.pdf"]

    page = Page(contents["report.html"].decode())
    assert NASTY in page.texts and "c" not in page.tags and "script" not in page.tags
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in page.references)
    # Whatever may differ between two runs comes last.
    before, timing = contents["report.html"].decode().split("<h2>Times and machines</h2>")
    assert "Search cost" in timing and "Search cost" not in before and "<h2>" not in timing


def test_names_close_together_are_moved_apart_and_no_further() -> None:
    from opselect.bench.report.plot import spread

    assert spread([1.0, 5.0, 9.0], 1.0) == [1.0, 5.0, 9.0]
    assert spread([2.0, 2.0, 2.0], 1.0) == pytest.approx([1.0, 2.0, 3.0])
