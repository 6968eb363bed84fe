"""The Python interface on a small experiment: the same numbers as the records, names for them, and typed errors."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import opselect
from opselect.bench import proxy_study
from opselect.bench.interface import COMPARISON, InvalidArgument, NoScore, compare, draw, load_table, run, score, select
from opselect.bench.runs import frames
from opselect.bench.runs.run import Run, load_run
from opselect.bench.runs.runner import Summary
from opselect.spaces.errors import UserError
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.registry import UnknownName

World = Callable[[], AbstractContextManager[None]]

CHANCE = {
    "name": "chance",
    "space": "digits201",
    "images": "tiny",
    "seeds": [0, 1],
    "table": {"name": "additive", "dataset": "digits", "epochs": 10},
    "selector": [{"name": "random"}, {"name": "best-acc"}],
}


@pytest.fixture(scope="module")
def tiny(tiny_run: tuple[Path, Summary], tiny_world: World) -> Run:
    """The nine selectors of `TINY`."""
    with tiny_world():
        return load_run(str(tiny_run[0]))


@pytest.mark.usefixtures("in_tiny_world")
def test_an_experiment_runs_from_a_dictionary_and_goes_on_where_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    first = run(CHANCE, workers=1)
    seen: list[tuple[str, int, int]] = []
    again = run(CHANCE, "runs/chance", workers=1, progress=lambda *event: seen.append(event))
    assert len(first.all) == 4
    assert again.all == first.all
    assert seen == [("trials", 4, 4)]
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == threads
    assert load_run(tmp_path / "runs" / "chance").all == first.all


@pytest.mark.usefixtures("in_tiny_world")
def test_an_unfinished_run_says_what_is_missing(tmp_path: Path) -> None:
    run(CHANCE, tmp_path, workers=1)
    text = (tmp_path / "experiment.toml").read_text()
    assert "0,\n    1,\n" in text
    (tmp_path / "experiment.toml").write_text(text.replace("0,\n    1,\n", "0,\n    1,\n    2,\n"))
    unfinished = load_run(tmp_path)
    assert repr(unfinished) == "<Run 'chance': 4 of 6 trials of 2 selectors, 2 missing (random: 2; best-acc: 2)>"
    assert "2 missing" in unfinished._repr_html_()
    frame = unfinished.to_frame()
    assert frame["status"].tolist() == ["done", "done", "missing"] * 2
    assert unfinished.summary()["missing"].tolist() == [1, 1]


def test_the_frame_of_trials_says_what_the_records_say(tiny: Run) -> None:
    frame = tiny.to_frame().set_index("label")
    assert list(frame.index) == [record.label for record in tiny.all]
    for record in tiny.all:
        assert record.result is not None
        row = frame.loc[record.label]
        assert row["architecture"] == record.result.architecture
        assert row["test_accuracy"] == record.result.test_accuracy
        assert row["regret"] == record.result.regret
        assert {name: row[f"setting_{name}"] for name, value in record.trial.settings.items() if value is not None} == {
            name: value for name, value in record.trial.settings.items() if value is not None
        }
    assert frame.loc["magnitude", "supernet"] == "darts"
    assert frame.loc["darts-pt-fixed-alpha", "supernet"] == "fixed-alpha"
    assert frame.loc["magnitude", "supernet_epochs"] == 1
    assert pd.isna(frame.loc["random", "supernet"])


def test_scores_and_traces_name_edges_and_operations(tiny: Run) -> None:
    scores, trace = tiny.scores(), tiny.trace()
    (record,) = tiny.records["disc-acc"]
    assert record.result is not None
    mine = scores[scores["label"] == "disc-acc"]
    for number, (step, decision) in enumerate(
        zip(record.result.steps, trace[trace["label"] == "disc-acc"].itertuples(), strict=True), start=1
    ):
        edge = digits201.edges[step.edge]
        assert (decision.step, decision.edge, decision.cell) == (number, edge.name, "cell")
        assert (decision.operation, decision.tied) == (edge.operations[step.operation], step.tied)
        rows = mine[(mine["step"] == number) & mine["is_decided"]]
        assert rows["edge"].unique().tolist() == [edge.name]
        assert rows["operation"].tolist() == list(edge.operations)
        assert rows["score"].tolist() == step.scores[step.edge]
        assert rows["best_acc"].tolist() == step.truth["best-acc"][step.edge]
        assert rows[rows["is_chosen"]]["operation"].tolist() == [decision.operation]
        assert decision.score == step.scores[step.edge][step.operation]


@pytest.mark.parametrize("name", ["networks", "scores", "trace", "summary"])
def test_a_run_without_records_has_frames_of_the_same_types(tiny: Run, name: str) -> None:
    empty = getattr(Run.of([], []), name)()
    kinds = getattr(frames, name.upper())
    assert len(empty) == 0
    assert empty.dtypes.astype(str).to_dict() == kinds
    if name != "networks":
        assert getattr(tiny, name)().dtypes.astype(str).to_dict() == kinds


def test_a_run_shows_its_selectors_in_a_notebook(tiny: Run) -> None:
    page = Run.of(tiny.all, tiny.labels, title="<b>mine</b>")._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;: 9 of 9 trials of 9 selectors" in page
    assert page.count("<tr") == 1 + 9
    assert "missing" not in page


@pytest.mark.usefixtures("in_tiny_world")
def test_a_selection_is_the_trial_of_an_experiment(tiny: Run, tmp_path: Path) -> None:
    table = {"name": "additive", "dataset": "digits", "epochs": 10}
    (expected,) = tiny.records["zero-cost-pt"]
    settings = {"candidates": 2, "validation_batches": 1, "batch_size": 16}
    chosen = select("zero-cost-pt", "digits201", "tiny", table=table, supernets=tmp_path, **settings)
    assert chosen.record.result == expected.result
    assert chosen.architecture == digits201.parse(str(chosen))
    assert repr(chosen).endswith(f", test {chosen.test_accuracy:.2f} %>")
    assert "<svg" in chosen._repr_svg_()
    assert list(tmp_path.iterdir()) == []
    without = select("random", images="tiny")
    assert (without.test_accuracy, without.regret) == (None, None)


@pytest.mark.usefixtures("in_tiny_world")
def test_an_architecture_scores_as_in_a_study_of_proxies(tmp_path: Path) -> None:
    study = proxy_study.describe("digits201", "tiny", 16, 3)
    scores = proxy_study.score_architectures(study, 2, ["snip", "nwot"], tmp_path, 1, lambda *_: None)
    for proxy, values in scores.values.items():
        canonical = [digits201.canonical(digits201.parse(text)) for text in scores.architectures]
        mine = [score(cell, proxy, "tiny", batch_size=16, seed=3) for cell in canonical]
        np.testing.assert_array_equal(mine, values)


@pytest.mark.usefixtures("in_tiny_world")
def test_a_comparison_says_what_the_gate_says(tiny: Run, tiny_run: tuple[Path, Summary]) -> None:
    comparison = compare(tiny, str(tiny_run[0]))
    assert comparison.status == 0
    frame = comparison.to_frame()
    assert frame["label"].tolist() == list(tiny.labels)
    assert set(frame["verdict"]) == {"same"}
    assert frame.dtypes.astype(str).to_dict() == COMPARISON
    assert frame["equal"].tolist() == [1] * 9
    assert str(comparison).startswith("No change for the worse: tiny against ")
    assert compare(tiny.only("magnitude"), tiny).status == 2


@pytest.mark.usefixtures("in_tiny_world")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: run("digits21"), opselect.UnknownName, "no experiment of that name is shipped; did you mean"),
        (lambda: run({**CHANCE, "spaces": 1}), opselect.InvalidExperiment, "unknown setting 'spaces'; did you mean"),
        (lambda: run({**CHANCE, "seeds": None}), opselect.InvalidExperiment, "experiment: "),
        (lambda: run({**CHANCE, "images": ["tiny", "digits"]}), opselect.InvalidExperiment, "2 experiments"),
        (lambda: run(CHANCE, workers=-1), InvalidArgument, "workers = -1, expected a number of processes"),
        (lambda: load_run("nowhere"), opselect.InvalidRecords, "nowhere/records.jsonl: no such file"),
        (lambda: load_table("digits21"), UnknownName, "no table named 'digits21'; did you mean 'digits201'?"),
        (lambda: select("randon"), opselect.InvalidExperiment, "no selector named 'randon'; did you mean 'random'?"),
        (lambda: select("random", spice=1), opselect.InvalidExperiment, "unknown setting 'spice'"),
        (lambda: score("nonsense", "nwot", "tiny"), opselect.InvalidArchitecture, "arch string 'nonsense'"),
        (lambda: score(digits201.at(7), "nwott", "tiny"), UnknownName, "no proxy named 'nwott'; did you mean 'nwot'?"),
        (lambda: score(digits201.at(7), "nwot", "tiny", batch_size=33), UserError, "batch_size 33, but a half of the"),
        (lambda: score(torch.nn.Flatten(), "snip", "tiny", batch_size=8), NoScore, "snip: no convolution or linear"),
        (lambda: draw("DARTS_V3", "darts"), opselect.InvalidArchitecture, "genotype text"),
        (lambda: draw("DARTS_V2", "darts").save("a.gif"), UnknownName, "a.gif: a file of kind 'gif'"),
    ],
)
def test_what_is_wrong_is_one_sentence_of_a_type_of_its_own(
    call: Callable[[], object], error: type[UserError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_study_says_which_runs_it_has(tmp_path: Path) -> None:
    study = (
        'name = "two"\nspace = ["darts", "darts-s1"]\nimages = "digits"\nseeds = [0]\n[[selector]]\nname = "random"\n'
    )
    (tmp_path / "study.toml").write_text(study)
    with pytest.raises(
        opselect.InvalidRecords, match=r"a study of several runs, expected one of them: .*darts-s1-digits"
    ):
        load_run(tmp_path)


def test_a_drawing_is_saved_in_the_kind_of_its_ending(tmp_path: Path) -> None:
    path = draw("DARTS_V2", "darts").save(str(tmp_path / "cells.svg"))
    assert path.read_text().count("<svg") == 1


def test_a_table_opens_without_torch() -> None:
    import subprocess
    import sys

    program = (
        "import opselect, sys; opselect.load_table('digits201'); assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


NOTEBOOK = Path(__file__).parents[2] / "examples" / "three_uses.ipynb"


def cells_of(notebook: dict[str, object]) -> list[dict[str, object]]:
    cells = notebook["cells"]
    assert isinstance(cells, list)
    return cells


@pytest.mark.slow
def test_the_notebook_runs_and_is_kept_without_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    try:
        for cell in cells_of(content):
            if cell["cell_type"] != "code":
                continue
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            source = cell["source"]
            assert isinstance(source, list)
            exec(compile("".join(source), str(NOTEBOOK), "exec"), names)
    finally:
        pyplot.close("all")
    finished = names["run"]
    assert isinstance(finished, Run)
    assert not finished.missing
