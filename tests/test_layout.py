"""The house: folders, arrows between them, what importing does and does not do."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"spaces": {"spaces"}, "selectors": {"spaces", "selectors"}, "bench": {"spaces", "selectors", "bench"}}

FLOORS = ("runs", "evaluation", "experiment", "storage", "runtime")
"""Rooms of the harness; each imports those that come after it, and no other one."""


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=dict(os.environ), capture_output=True, text=True, timeout=120
    )


def imported_modules(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_run_from_bench_to_selectors_to_spaces(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for module in imported_modules(path):
            first, _, rest = module.partition(".")
            assert first not in ALLOWED, f"{path}: import opselect.{module} instead"
            if first == "opselect":
                assert rest.partition(".")[0] in ALLOWED[folder], f"{path} imports {module}"


@pytest.mark.parametrize("room", FLOORS)
def test_the_rooms_of_a_run_import_no_room_above_them(room: str) -> None:
    files = list((ROOT / "bench" / room).rglob("*.py"))
    assert files
    for path in files:
        for module in imported_modules(path):
            if module.startswith("opselect.bench"):
                assert module.split(".")[2] in FLOORS[FLOORS.index(room) :], f"{path} imports {module}"


def test_pythons_own_selectors_module_wins_in_the_root() -> None:
    assert not [folder for folder in ALLOWED if (ROOT / folder / "__init__.py").exists()]
    done = python("-c", "import selectors, subprocess, asyncio; print(selectors.DefaultSelector.__name__)")
    assert done.returncode == 0, done.stderr


def test_the_package_imports_from_any_directory(tmp_path: Path) -> None:
    for directory in (ROOT, tmp_path):
        done = python("-c", "import opselect.bench.cli.app, opselect.selectors.methods", cwd=directory)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", ALLOWED)
def test_the_package_holds_links_to_the_folders(folder: str) -> None:
    # A copy would give every class twice as soon as one of the two is changed.
    link = ROOT / "opselect" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder


def test_the_public_names_cost_nothing_until_one_is_used() -> None:
    program = (
        "import sys\nbefore = set(sys.modules)\nimport opselect\ndir(opselect)\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert new <= {'opselect'} | sys.stdlib_module_names, new\n"
        "assert not any(name.startswith('opselect.') for name in sys.modules)"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr


def test_the_package_runs_as_a_module_from_any_directory(tmp_path: Path) -> None:
    done = python("-m", "opselect", "list", "spaces", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "digits201" in done.stdout


def test_help_comes_without_the_heavy_libraries() -> None:
    program = (
        "import sys\nfrom opselect.bench.cli import app as cli\nsys.argv = ['opselect', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout
