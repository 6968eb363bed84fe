"""The command line: exit statuses, one sentence for what the user can mend, JSON that parses, quick help."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
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
    ("show",),
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
    assert error == "opselect: no such command 'rnu'; did you mean 'run'? see 'opselect --help'\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run",), "missing argument 'EXPERIMENT'; see 'opselect run --help'"),
        (("run", "x", "--worker", "1"), "no such option: --worker; did you mean --workers? see 'opselect run --help'"),
        (("run", "x", "--workers", "-1"), "invalid value for '--workers' / '-w': "),
        (("check", "x"), "missing option '--against'; see 'opselect check --help'"),
        (("table", "quer"), "no such command 'quer'; did you mean 'query'? see 'opselect table --help'"),
        (("select", "random", "--seed", "x\ny"), "invalid value for '--seed': "),
    ],
)
def test_wrong_usage_is_one_sentence_like_any_other_error(
    opselect: CommandLine, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(opselect(*arguments))


def test_the_version_is_that_of_the_package(opselect: CommandLine) -> None:
    for option in ("--version", "-V"):
        assert opselect(option) == (0, f"opselect {version('opselect')}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("run", "nope"),
        ("run", "digits201", "--device", "gpu"),
        ("show", "nope"),
        ("conformance", "nope"),
        ("draw", "NOPE"),
        ("train", "NOPE"),
        ("table", "build", "nope"),
        ("table", "info", "nope"),
        ("list",),
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_does_not_wait_for_it(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from opselect.bench.cli.app import main\n"
        f"sys.argv = {['opselect', *arguments]}\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print('torch:', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == (2 if arguments[0] not in ("--version", "list") else 0), done.stderr
    assert done.stdout.splitlines()[-1] == "torch: False"


def test_the_shell_completes_registered_names(tmp_path: Path) -> None:
    def completed(*words: str) -> list[str]:
        environment = os.environ | {
            "_OPSELECT_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["opselect", *words]),
            "COMP_CWORD": str(len(words)),
        }
        command = [str(Path(sys.executable).with_name("opselect"))]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout.split()

    (tmp_path / "digits_of_mine.toml").touch()
    assert completed("run", "digits") == ["digits201", "digits_of_mine.toml"]
    assert completed("select", "zero") == ["zero-cost-disc", "zero-cost-pt"]
    assert completed("draw", "DARTS_V") == ["DARTS_V1", "DARTS_V2"]
    assert completed("list", "prox") == ["proxies"]
    assert completed("table", "info", "dig") == ["digits201"]
