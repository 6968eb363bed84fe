"""A package of another author: the template under `examples/` is installed in a folder and used as it is."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "examples" / "opselect_template"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the template is installed in, without network."""
    folder = tmp_path_factory.mktemp("site")
    # Building writes into the source folder.
    source = shutil.copytree(TEMPLATE, tmp_path_factory.mktemp("source") / TEMPLATE.name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def in_a_process(site: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command line in a process that sees the installed plug-in."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "opselect.bench.cli.app", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def declared() -> dict[str, list[str]]:
    """By kind, the names in the template's own description."""
    groups = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]["entry-points"]
    return {group.removeprefix("opselect."): list(names) for group, names in groups.items()}


def test_every_part_of_the_template_is_listed_next_to_ours(site: Path, tmp_path: Path) -> None:
    done = in_a_process(site, "list", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(declared()) == {"selectors", "scores", "proxies", "spaces", "tables"}
    for kind, names in declared().items():
        assert set(names) < set(found[kind])


@pytest.mark.parametrize("kind", ["spaces", "tables", "proxies"])
def test_parts_of_the_template_keep_the_promises(
    kind: str, site: Path, opselect: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    status, output, error = opselect("conformance", "opselect-template", "--kind", kind)
    assert status == 0, output + error
    assert "broken" not in output
    assert sum(not line.startswith(" ") for line in output.splitlines()) == 1


THREE_LINES = """
import pytest
from opselect.bench.conformance.run import checks

@pytest.mark.parametrize("check", checks("scores", "random"), ids=str)
def test_mine(check):
    check.run()
"""


def test_a_promise_that_is_not_applicable_is_a_skipped_test(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(THREE_LINES)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-W", "error", "--rootdir", str(tmp_path), "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "6 passed, 1 skipped" in done.stdout
    assert "it does not depend on supernet, alpha or accuracies" in done.stdout


@pytest.mark.slow
def test_the_template_s_own_tests_pass(site: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    tests = shutil.copytree(TEMPLATE / "tests", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-W", "error", str(tests)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout


EXPERIMENT = """
name = "plugged"
space = "opselect-template"
images = "digits"
training_images = 200
seeds = [0]

[table]
name = "opselect-template"
dataset = "digits"
epochs = 5

[supernet]
epochs = 1
batch_size = 50

[[selector]]
name = "opselect-template"

[[selector]]
name = "by-score"
score = "opselect-template"

[[selector]]
name = "zero-cost-pt"
proxy = "opselect-template"
candidates = 2
validation_batches = 1
batch_size = 16

[[selector]]
name = "best-acc"
"""


@pytest.mark.slow
def test_an_experiment_runs_on_the_template_s_parts_and_reports_them(site: Path, tmp_path: Path) -> None:
    (tmp_path / "plugged.toml").write_text(EXPERIMENT)
    done = in_a_process(site, "run", "plugged.toml", "--output", "out", "--workers", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (json.loads(done.stdout)["trials"], json.loads(done.stdout)["failed"]) == (4, [])
    records = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    selected = {record["label"]: record["result"] for record in records}
    assert selected["best-acc"]["regret"] <= min(result["regret"] for result in selected.values()) + 5
    assert all(len(result["architecture"].split("/")) == 3 for result in selected.values())
    done = in_a_process(site, "report", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "out" / "report" / "report.md").read_text()
    assert "opselect-template" in report and "by-score" in report


def test_without_the_package_its_names_are_unknown(opselect: CommandLine) -> None:
    status, _, error = opselect("conformance", "opselect-template")
    assert status == 2
    assert error.startswith("opselect: nothing is registered as 'opselect-template'; ")
    assert error.count("\n") == 1


def test_the_template_s_experiment_names_its_parts() -> None:
    text = (TEMPLATE / "experiment.toml").read_text()
    assert all(f'"{name}"' in text for names in declared().values() for name in names)
