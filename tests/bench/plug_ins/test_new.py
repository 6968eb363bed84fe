"""A new plug-in package: its files are those of the example, and it installs, runs and passes its tests as it is."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.plug_ins.new import PARTS, USUAL_PARTS, UnusablePlugIn, write_plug_in
from opselect.selectors.task import SearchState, Task
from tests.bench.cli.examples import refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

EXAMPLES = Path(__file__).parents[3] / "examples"
SETS_OF_PARTS = [
    parts
    for count in range(1, len(PARTS) + 1)
    for parts in combinations(PARTS, count)
    if "space" in parts or "table" not in parts
]


def files_of(folder: Path) -> dict[str, bytes]:
    """By path in the folder, the bytes of every file that is no trace of Python."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_example_is_what_the_command_writes_with_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests import the example, which would make its name one that is taken.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    # Where this fails, remove the folder of the example and run
    # opselect new opselect_template --output examples --parts proxy,score,selector,space,table
    written = write_plug_in("opselect_template", PARTS, tmp_path)
    assert files_of(written) == files_of(EXAMPLES / "opselect_template")


@pytest.mark.parametrize("parts", SETS_OF_PARTS, ids=",".join)
def test_a_package_has_the_chosen_parts_and_no_trace_of_others(parts: tuple[str, ...], tmp_path: Path) -> None:
    folder = write_plug_in("my_idea", parts, tmp_path)
    modules = {path.stem: ast.parse(path.read_text()) for path in (folder / "my_idea").glob("*.py")}
    assert set(modules) == {"__init__", *parts}
    assert (folder / "my_idea" / "accuracies.csv").exists() == ("table" in parts)
    imported = {node.module for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name and name.startswith("my_idea")} <= {f"my_idea.{part}" for part in parts}
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "my-idea"
    declared = project["project"]["entry-points"]
    kinds = {"proxy": "proxies", "score": "scores", "selector": "selectors", "space": "spaces", "table": "tables"}
    assert set(declared) == {f"opselect.{kinds[part]}" for part in parts}
    for names in declared.values():
        ((name, value),) = names.items()
        module, _, attribute = value.partition(":")
        assert name == "my-idea"
        assert attribute in {
            target
            for node in modules[module.removeprefix("my_idea.")].body
            for target in (
                [node.name]
                if isinstance(node, ast.ClassDef | ast.FunctionDef)
                else [each.id for each in node.targets if isinstance(each, ast.Name)]
                if isinstance(node, ast.Assign)
                else []
            )
        }
    text = "".join(content.decode() for content in files_of(folder).values())
    assert "opselect_template" not in text and "opselect-template" not in text
    assert "{{" not in text and "{%" not in text
    experiment = tomllib.loads((folder / "experiment.toml").read_text())
    of_its_own = "my-idea" if "table" in parts else "digits201"
    assert (experiment["space"], experiment["table"]["name"]) == (of_its_own, of_its_own)
    used = [value for selector in experiment["selector"] for value in selector.values() if value == "my-idea"]
    assert len(used) == len({"proxy", "score", "selector"} & set(parts))


def test_the_readme_describes_every_attribute_of_a_task_and_of_a_state(tmp_path: Path) -> None:
    text = (write_plug_in("my_idea", parent=tmp_path) / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for kind in (SearchState, Task):
        for each in fields(kind):
            (row, *_) = (row for row in rows if row.startswith(f"| `{each.name}` | "))
            assert row.endswith(". |")


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("my-idea", USUAL_PARTS, "'my-idea' is no name for a package: expected lower-case letters"),
        ("class", USUAL_PARTS, "'class' is no name for a package: expected lower-case letters"),
        ("9lives", USUAL_PARTS, "'9lives' is no name for a package: expected lower-case letters"),
        ("../escape", USUAL_PARTS, "'../escape' is no name for a package: expected lower-case letters"),
        ("", USUAL_PARTS, "'' is no name for a package: expected lower-case letters"),
        ("opselect", USUAL_PARTS, "a module named 'opselect' is installed already"),
        ("magnitude", USUAL_PARTS, "a selector named 'magnitude' is registered already"),
        ("there_already", USUAL_PARTS, "there_already exists: choose another name, or another place with --output"),
        ("my_idea", ("scores",), "no part of a plug-in named 'scores'; did you mean 'score'?"),
        ("my_idea", ("table",), "the part 'table' has the accuracies of the part 'space': add 'space' to the parts"),
        ("my_idea", (), "a plug-in needs at least one part; known are proxy, score, selector, space, table"),
    ],
)
def test_what_gives_no_package_is_refused_and_nothing_is_written(
    name: str, parts: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "there_already").mkdir()
    with pytest.raises(UnusablePlugIn) as error:
        write_plug_in(name, parts, tmp_path)
    assert message in str(error.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["there_already"]


def test_the_command_says_what_to_do_next(
    opselect: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, output, error = opselect("new", "my_idea", "--parts", "score, proxy")
    assert (status, error) == (0, "")
    assert output.endswith("  pip install --editable my_idea && opselect conformance my-idea\n")
    assert {path.name for path in (tmp_path / "my_idea" / "my_idea").iterdir()} == {
        "__init__.py",
        "proxy.py",
        "score.py",
    }
    assert "my_idea exists" in refused(opselect("new", "my_idea"))


def installed(package: Path, site: Path) -> dict[str, str]:
    """The environment of a process that sees the package, which is installed into a folder without network."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a Python module prints that ends well."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_proxy_installs_and_passes_its_tests(tmp_path: Path) -> None:
    package = write_plug_in("my_idea", ["proxy"], tmp_path)
    environment = installed(package, tmp_path / "site")
    output = run(["pytest", "-q", "-rs", "-W", "error", "--rootdir", "."], package, environment)
    assert " passed" in output
    assert "no baseline yet: opselect run " in output


@pytest.mark.slow
def test_a_new_package_installs_runs_and_passes_its_tests_and_its_gate(tmp_path: Path) -> None:
    package = write_plug_in("my_idea", parent=tmp_path)
    environment = installed(package, tmp_path / "site")
    run(["opselect", "run", "experiment.toml", "--output", "baseline"], package, environment)
    pytest_command = ["pytest", "-q", "-W", "error", "--rootdir", "."]
    assert "1 passed" in run([*pytest_command, "tests/test_gate.py"], package, environment)
    assert " passed" in run([*pytest_command, "tests/test_conformance.py"], package, environment)
