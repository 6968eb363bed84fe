"""The pytest plug-in in a pytest of its own: three lines gate a selector."""

import subprocess
import sys
from pathlib import Path

from opselect.bench.experiment.file import parse
from opselect.bench.runs import runner

EXPERIMENT = """
name = "gate"
space = "digits201"
images = "digits"
seeds = [0, 1]

[table]
name = "digits201"
dataset = "digits"
epochs = 10

[[selector]]
name = "zero-cost-pt"
candidates = 1
batch_size = 16
"""
TESTS = """
from opselect.selectors.methods import ZeroCostPT


def test_my_selector(opselect_baseline):
    (finding,) = opselect_baseline("mine.toml", "baseline", cost_tolerance=1000.0)
    assert finding.verdict.text == "same"


def test_a_damaged_selector(opselect_baseline, monkeypatch):
    score = ZeroCostPT._score_by
    monkeypatch.setattr(ZeroCostPT, "_score_by", lambda self, by: lambda state, edge: -score(self, by)(state, edge))
    opselect_baseline("mine.toml", "baseline", cost_tolerance=1000.0)


def test_another_space(opselect_baseline):
    opselect_baseline("other.toml", "baseline")
"""


def test_the_fixture_passes_where_nothing_changed_and_fails_with_the_markdown_where_something_did(
    tmp_path: Path,
) -> None:
    runner.run(parse(EXPERIMENT, "mine.toml"), tmp_path / "baseline", 1, lambda *_: None)
    (tmp_path / "mine.toml").write_text(EXPERIMENT)
    (tmp_path / "other.toml").write_text(EXPERIMENT.replace("seeds = [0, 1]", "seeds = [0, 1]\ntraining_images = 90"))
    (tmp_path / "test_gate.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", tmp_path, "test_gate.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "2 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "**Changed for the worse**: mine.toml against baseline." in done.stdout
    assert "| zero-cost-pt | **changed** |" in done.stdout
    assert "CannotCompare: hash of the images:" in done.stdout
