"""The proxy study: what is scored, what is kept, and what the report says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import nn

from opselect.bench import proxy_study
from opselect.bench.proxy_study import Scores, StudyDescription, sample_architectures, score_architectures
from opselect.bench.report.page import write_proxy_report
from opselect.bench.report.sections.proxies import proxy_row, proxy_tables, top_precision, with_combinations
from opselect.bench.storage.store import InvalidRecords
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces import registry
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.table import Table

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("in_tiny_world")


def ignore(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
def study() -> StudyDescription:
    return proxy_study.describe("digits201", "tiny", batch_size=8, seed=3)


def test_a_sample_is_of_different_architectures_and_all_are_all() -> None:
    chosen = sample_architectures(digits201, 50, 0)
    assert len(set(chosen)) == 50
    assert chosen == sample_architectures(digits201, 50, 0) != sample_architectures(digits201, 50, 1)
    assert len(sample_architectures(digits201, None, 0)) == 15625 == len(sample_architectures(digits201, 99999, 0))
    assert sample_architectures(digits201, 80, 0)[:50] == chosen


def test_scores_are_those_of_the_proxy_on_the_representative(study: StudyDescription, tmp_path: Path) -> None:
    scores = score_architectures(study, 12, ("params", "nwot"), tmp_path, 1, ignore)
    assert len(scores.architectures) == 12
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    representatives = {digits201.format(digits201.canonical(digits201.parse(text))) for text in scores.architectures}
    assert {line["architecture"] for line in lines} == representatives
    assert len(lines) == scores.classes == len(representatives)
    for text, value in zip(scores.architectures, scores.values["params"], strict=True):
        network = digits201.network(digits201.canonical(digits201.parse(text)), 1, 10, seed=0)
        assert value == sum(parameter.numel() for parameter in network.parameters())
    assert (np.array(list(scores.seconds.values())) > 0).all()


def test_what_was_scored_is_not_scored_again(
    study: StudyDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = score_architectures(study, 12, ("params",), tmp_path, 1, ignore)
    asked: list[tuple[str, tuple[str, ...]]] = []
    score = proxy_study._score

    def watched(scoring: proxy_study.Scoring) -> proxy_study.ScoreRecord:
        asked.append((scoring.architecture, scoring.proxies))
        return score(scoring)

    monkeypatch.setattr(proxy_study, "_score", watched)
    again = score_architectures(study, 12, ("params",), tmp_path, 1, ignore)
    assert asked == []
    np.testing.assert_array_equal(again.values["params"], first.values["params"])
    more = score_architectures(study, 12, ("params", "flops"), tmp_path, 1, ignore)
    assert {proxies for _, proxies in asked} == {("flops",)}
    assert len(asked) == first.classes
    np.testing.assert_array_equal(more.values["params"], first.values["params"])


def test_a_killed_study_goes_on_and_ends_alike(study: StudyDescription, tmp_path: Path) -> None:
    whole = score_architectures(study, 12, ("nwot",), tmp_path / "whole", 1, ignore)
    file = tmp_path / "killed" / "scores.jsonl"
    file.parent.mkdir()
    content = (tmp_path / "whole" / "scores.jsonl").read_bytes()
    file.write_bytes(content[: len(content) // 2])
    resumed = score_architectures(study, 12, ("nwot",), file.parent, 1, ignore)
    np.testing.assert_array_equal(resumed.values["nwot"], whole.values["nwot"])


def test_scores_of_another_study_are_not_mixed_in(study: StudyDescription, tmp_path: Path) -> None:
    score_architectures(study, 10, ("params",), tmp_path, 1, ignore)
    other = proxy_study.describe("digits201", "tiny", batch_size=16, seed=3)
    with pytest.raises(InvalidRecords, match="holds scores of another study"):
        score_architectures(other, 10, ("params",), tmp_path, 1, ignore)


def unscorable(network: nn.Module, batch: LabelledImages) -> float:
    raise UnscorableNetwork("nothing to see")


def infinite(network: nn.Module, batch: LabelledImages) -> float:
    return float("inf")


def test_undefined_scores_are_a_state_with_a_reason(
    study: StudyDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, additive_table: Table
) -> None:
    load = registry.load
    fakes = {"unscorable": unscorable, "infinite": infinite}
    monkeypatch.setattr(registry, "load", lambda kind, name: fakes.get(name) or load(kind, name))
    for _ in range(2):  # scored, then read back
        scores = score_architectures(study, 10, ("infinite", "unscorable"), tmp_path, 1, ignore)
        assert np.isnan(scores.values["unscorable"]).all()
        assert np.isposinf(scores.values["infinite"]).all()
        assert scores.failures == {
            ("unscorable", "nothing to see"): scores.classes,
            ("infinite", "the score is inf"): scores.classes,
        }
    write_proxy_report(scores, additive_table, tmp_path / "report")
    text = (tmp_path / "report" / "proxies.md").read_text()
    assert "| unscorable | nothing to see |" in text
    assert "| infinite | – | – | – | – | – | – | 0 | 10 |" in text


def test_a_row_of_the_report_by_hand() -> None:
    accuracies = np.arange(20.0)
    scores = accuracies.copy()
    scores[[19, 0]] = scores[[0, 19]]
    scores[5] = np.nan
    row = proxy_row("some", scores, accuracies)
    assert (row.undefined, row.spearman.n) == (1, 19)
    # Ranks 1 and 19 of 19 swapped: the sum of squared differences is 2 * 18^2.
    assert row.spearman.value == pytest.approx(1 - 6 * 2 * 18**2 / (19 * (19**2 - 1)))
    assert row.best == 0
    assert row.top_precision == 0  # a tenth of 19 is one: 19 by accuracy, 0 by score


def test_top_precision_shares_ties() -> None:
    accuracies = np.arange(20.0)  # the best tenth: 18 and 19
    assert top_precision(accuracies, accuracies) == 100
    assert top_precision(-accuracies, accuracies) == 0
    assert top_precision(np.zeros(20), accuracies) == pytest.approx(10)  # any two of twenty
    level = np.zeros(20)
    level[[18, 3, 4]] = 1  # two of these three, one of which is right
    assert top_precision(level, accuracies) == pytest.approx(100 * (2 / 3) / 2)
    assert top_precision(np.zeros(9), np.zeros(9)) is None


def test_combinations_rank_the_whole_sample() -> None:
    proxies = registry.load("combinations", "te_nas").proxies
    values = {name: np.array([3.0, 1.0, 2.0]) for name in proxies}
    scores = Scores(
        StudyDescription(space="digits201", images="tiny", batch_size=8, seed=0, images_hash="", software={}),
        tuple(sample_architectures(digits201, 3, 0)), 3, values, {}, {},
    )  # fmt: skip
    combined = with_combinations(scores)
    assert combined["te_nas"].tolist() == [6, 2, 4]
    assert "az_nas" not in combined


def test_the_command_writes_scores_and_a_report(opselect: CommandLine, tmp_path: Path) -> None:
    arguments = ["proxies", "--space", "digits201", "--images", "tiny", "--table", "additive", "--sample", "30",
                 "--proxy", "params", "--proxy", "flops", "--batch-size", "8", "--output", str(tmp_path / "run"),
                 "--workers", "1"]  # fmt: skip
    status, out, _ = opselect(*arguments)
    assert status == 0
    assert "proxies.html" in out
    first = {path.name: path.read_bytes() for path in (tmp_path / "run" / "tables").iterdir()}
    assert "proxies-digits-10.csv" in first
    page = (tmp_path / "run" / "proxies.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert opselect(*arguments)[0] == 0
    again = {path.name: path.read_bytes() for path in (tmp_path / "run" / "tables").iterdir()}
    assert again == first


def test_the_scored_networks_are_those_of_the_table_unless_others_are_named(
    opselect: CommandLine, tmp_path: Path
) -> None:
    given = ["--images", "tiny", "--table", "additive", "--sample", "10", "--proxy", "params", "--batch-size", "8"]

    def text(*options: str) -> str:
        output = tmp_path / f"run{len(options)}"
        assert opselect("proxies", *given, "--workers", "1", "--output", output, *options)[0] == 0
        return (output / "proxies.md").read_text()

    assert "Space: digits201" in text()
    assert "Not the table's networks" not in text()
    # The same edges in larger networks: possible, and said.
    other = text("--space", "nasbench201")
    assert "Not the table's networks: accuracies are of digits201, scores of nasbench201" in other
    status, _, error = opselect("proxies", *given, "--space", "darts-s1", "--output", tmp_path / "refused")
    assert status == 2
    assert "'additive' is a table of digits201, which has other edges than darts-s1; leave out --space" in error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("--proxy", "nwott"), "did you mean 'nwot'"),
        (("--space", "digits"), "did you mean 'digits201'"),
        (("--table", "additiv"), "did you mean 'additive'"),
        (("--images", "nothing.npz"), "nothing.npz: cannot be read"),
    ],
)
def test_a_wrong_name_is_one_line(
    opselect: CommandLine, tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    given = {"--space": "digits201", "--images": "tiny", "--table": "additive", "--output": str(tmp_path / "run")}
    given[change[0]] = change[1]
    status, _, error = opselect("proxies", *(part for pair in given.items() for part in pair))
    assert status == 2
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_tables_are_those_of_the_columns_that_the_sample_has(additive_table: Table) -> None:
    generator = torch.Generator().manual_seed(0)
    texts = tuple(sample_architectures(digits201, 40, 0))
    values = {"some": torch.rand(40, generator=generator).numpy()}
    description = StudyDescription(space="digits201", images="tiny", batch_size=8, seed=0, images_hash="", software={})
    (table,) = proxy_tables(Scores(description, texts, 40, values, {"some": 0.1}, {}), additive_table)
    assert table.title == "Proxies and digits test accuracy after 10 epochs"
    assert [row.proxy for row in table.data] == ["some"]
