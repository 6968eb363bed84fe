"""The command line: exit statuses, one sentence for what the user can mend, JSON that parses, quick help."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.bench.cli.examples import refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


COMMANDS = [
    (),
    ("run",),
    ("report",),
    ("check",),
    ("plan",),
    ("reproduce",),
    ("conformance",),
    ("new",),
    ("list",),
    ("select",),
    ("proxies",),
    ("published",),
    ("train",),
    ("draw",),
    ("table",),
] + [("table", command) for command in ("build", "import", "compare", "info", "query")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_an_example(opselect: CommandLine, command: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        status, output, error = opselect(*command, option)
        assert (status, error) == (0, "")
        assert "Example: " in output
        assert " ".join(["opselect", *command]) in output.partition("Example: ")[2]


def test_every_command_is_among_those_whose_help_was_tested() -> None:
    from typer.main import get_group

    from opselect.bench.cli.app import app

    group = get_group(app)
    found = {(name,) for name in group.commands} | {
        ("table", name)
        for name in group.commands["table"].commands  # type: ignore[attr-defined]
    }
    assert found | {()} == set(COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    heavy = "torch pandas pyarrow matplotlib numpy sklearn scipy joblib pydantic networkx seaborn jinja2 torchvision"
    program = (
        "import sys\n"
        "from opselect.bench.cli.app import main\n"
        "sys.argv = ['opselect', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    print('heavy:', [name for name in {heavy.split()} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_installed_command_exits_as_this_one_does(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("opselect")), "list", "selector"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    refused((done.returncode, done.stdout, done.stderr))


def test_no_arguments_show_the_help_and_an_unknown_command_offers_the_nearest(opselect: CommandLine) -> None:
    _, output, error = opselect()
    assert "Example: opselect run digits201" in output + error
    status, output, error = opselect("rnu", "digits201")
    assert (status, output) == (2, "")
    assert "No such command 'rnu'. Did you mean 'run'?" in error
    assert opselect("run")[0] == 2
    assert opselect("run", "small.toml", "--worker", "1")[0] == 2
    assert opselect("run", "small.toml", "--workers", "-1")[0] == 2
