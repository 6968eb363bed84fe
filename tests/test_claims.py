"""What README, the documentation and the READMEs of the results say is true: commands, files, columns and figures."""

import csv
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click import Command, Context, Group
from click.exceptions import BadParameter

from opselect.bench.cli.app import app
from opselect.bench.cli.compare import plan
from opselect.bench.experiment.file import parse
from opselect.bench.experiment.study import read_study
from opselect.bench.runs.run import load_run

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PLACES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md", "results/**/README.md")
TEXTS = sorted(path for place in PLACES for path in ROOT.glob(place))


def _commands(text: str) -> Iterator[list[str]]:
    """The arguments of every complete opselect command in blocks of shell and in single back quotes."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [*blocks.splitlines(), *re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        for part in line.split("#")[0].split("&&"):
            words = shlex.split(part.replace("&", ""))
            # Of a command that a sentence only names, there is nothing to be checked but the name.
            if words[:1] == ["opselect"] and len(words) > 1 and words[1] != "--help":
                yield words[1:]


COMMANDS = sorted({tuple(words) for path in TEXTS for words in _commands(path.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_in_a_text_is_one_that_opselect_has(words: tuple[str, ...]) -> None:
    command: Command = typer.main.get_command(app)
    if words[0].startswith("--"):
        # Only looked up: `--install-completion` would change files of the user who runs the tests.
        assert words[0] in {name for parameter in command.params for name in parameter.opts}
        return
    context, rest = Context(command), list(words)
    while isinstance(command, Group):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, f"no command {words}"
        command = found
        context = Context(command, parent=context)
    if not rest:
        return
    try:
        command.make_context(words[0], rest)
    except BadParameter as error:
        # Files of the reader are not here, but a value that is no choice or no number is wrong everywhere.
        assert "does not exist" in str(error)


def _experiments(text: str) -> Iterator[str]:
    yield from re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


EXPERIMENTS = [
    block
    for name in ("experiments", "studies", "plug-ins")
    for block in _experiments((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("number", range(4))
def test_an_experiment_in_the_documentation_can_be_run(number: int) -> None:
    blocks = EXPERIMENTS
    whole = next(block for block in blocks if block.startswith("name "))
    assert len(blocks) == 4
    block = blocks[number]
    if block == whole:
        parse(whole, "experiments.md")
    elif "[training]" in block:
        study = tomllib.loads(block)
        assert (len(study["space"]), len(study["images"])) == (4, 2)
        lines = [line for line in block.splitlines() if not line.startswith(("space", "images"))]
        head = 'name = "a"\nspace = "darts-s1"\nimages = "cifar100"\nseeds = [0]\n'
        training = "\n".join(line for line in lines if not line.startswith("on."))
        parse(f'{head}{training}\n[[selector]]\nname = "random"\n', "studies.md")
    else:
        head = whole.split("[supernet]")[0]
        supernet = "" if "[[supernet]]" in block else "[supernet]\nepochs = 60\n"
        parse(head + supernet + block, "the documentation")


def test_the_list_of_results_is_complete() -> None:
    named = re.findall(r"^\| `(\w+)/`", (RESULTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in RESULTS.iterdir() if path.is_dir())


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def test_the_columns_that_the_documentation_names_are_there() -> None:
    text = (RESULTS / "digits201" / "README.md").read_text(encoding="utf-8")
    table = text.split("## What the columns mean")[1].split("\n## ")[0]
    suffixes = ("", "_value")
    named = 0
    for row in re.findall(r"^\| (`.*)$", table, re.MULTILINE):
        files, _, columns = row.split(" | ", 2)
        # Names in parentheses explain a column and are none.
        names = re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", columns))
        headers = [
            _header(RESULTS / "digits201" / "tables" / f"{name}.csv") for name in re.findall(r"`([\w-]+)`", files)
        ]
        for name in names:
            assert any(name + suffix in header for header in headers for suffix in suffixes), name
            named += 1
    assert named > 15
    for suffix in re.findall(r"`(_\w+)`", table):
        assert f"test_accuracy{suffix}" in _header(RESULTS / "digits201" / "tables" / "selection.csv")


def test_what_may_differ_between_two_runs_is_all_that_holds_times() -> None:
    text = (RESULTS / "digits201" / "README.md").read_text(encoding="utf-8")
    for name in (
        "timing.md",
        "tables/timing.csv",
        "tables/random-search.csv",
        "tables/environment.csv",
        "figures/accuracy_against_time.pdf",
    ):
        assert (RESULTS / "digits201" / name).is_file()
        assert f"`{Path(name).stem}" in text


def _shown(row: dict[str, str], name: str) -> str:
    """A mean as the READMEs print it."""
    value, deviation = float(row[f"{name}_value"]), float(row[f"{name}_deviation"])
    return f"{value:.2f} ± {deviation:.2f}" if deviation else f"{value:.2f}"


def test_the_accuracies_on_nasbench201_are_those_of_the_records() -> None:
    text = (RESULTS / "nasbench201" / "README.md").read_text(encoding="utf-8")
    tables = RESULTS / "nasbench201" / "selection" / "tables"
    transfer = {row["label"]: row for row in _rows(tables / "transfer.csv")}
    compared = 0
    for row in _rows(tables / "selection.csv"):
        cells = [_shown(row, "test_accuracy")]
        cells += [_shown(transfer[row["label"]], f"test_accuracy_{name}") for name in ("cifar100", "imagenet16-120")]
        compared += f"| {' | '.join(cells)} |" in text
    printed = text.split("## What came out")[1].split("\n\n*")[0]
    assert compared == len(re.findall(r"^\| ", printed, re.MULTILINE)) - 1


def test_the_errors_on_the_darts_spaces_are_those_of_the_records() -> None:
    text = (RESULTS / "darts" / "README.md").read_text(encoding="utf-8")
    printed = text.split("## What came out")[1].split("\n\n*")[0]
    header, _, *rows = re.findall(r"^\|(.*)\|$", printed, re.MULTILINE)
    _, *names = map(str.strip, header.split("|"))
    assert len(rows) == 5
    for row in rows:
        space, *cells = map(str.strip, row.split("|"))
        folder = f"subspaces/darts-{space.lower()}-cifar10_subset" if space.startswith("S") else space
        found = {found["label"]: found for found in _rows(RESULTS / "darts" / folder / "tables" / "networks.csv")}
        for name, cell in zip(names, cells, strict=True):
            if cell != "–":
                of_table = found[name.lower()]
                assert cell == f"{float(of_table['error_value']):.2f} ± {float(of_table['error_deviation']):.2f}"


def test_the_ratios_of_the_benchmarks_are_those_of_the_findings() -> None:
    text = (RESULTS / "performance" / "README.md").read_text(encoding="utf-8")
    findings = (RESULTS / "performance" / "findings.txt").read_text(encoding="utf-8")
    ratios = re.findall(r"\| (\d+\.\d\d) \((\d+\.\d\d) to (\d+\.\d\d)\) \|", text)
    assert len(ratios) >= 4
    for ratio, low, high in ratios:
        (line,) = (line for line in findings.splitlines() if f"{ratio} times faster ({low} to {high}," in line)
        named = next(row for row in text.splitlines() if f"{ratio} ({low} to {high})" in row)
        # "nwot" and "nwot_reference" are two proxies, and the gain of one was once printed for the other.
        if "nwot" in named:
            assert ("nwot_reference" in named) == ("nwot_reference" in line)


@pytest.mark.parametrize(
    ("name", "searches"), [("darts", 28), ("darts-subspaces", 288)], ids=["darts", "darts-subspaces"]
)
def test_the_numbers_of_searches_of_the_large_experiments_are_true(name: str, searches: int) -> None:
    path = ROOT / "bench" / "experiment" / "packaged" / f"{name}.toml"
    study = read_study(path)
    assert sum(len(experiment.runs) for experiment in study.experiments.values()) == searches
    assert f"{searches} searches" in path.read_text(encoding="utf-8")
    assert f"{searches} searches" in (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    seeds = {len(experiment.training.seeds) for experiment in study.experiments.values() if experiment.training}
    assert seeds == {1}


@pytest.mark.parametrize("folder", ["nasbench201/selection", "nasbench201/scores", "darts/full"])
def test_committed_experiments_have_the_trials_of_the_shipped_ones(folder: str) -> None:
    shipped = {"nasbench201/selection": "nasbench201", "nasbench201/scores": "nasbench201-scores"}
    name = shipped.get(folder, "darts-small")
    text = (ROOT / "bench" / "experiment" / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
    run = load_run(RESULTS / folder)
    trials = {(entry.name, entry.recorded_supernet, seed) for entry, seed in parse(text, name).runs}
    recorded = [record.trial for record in run.all]
    assert {(trial.selector, trial.supernet, trial.seed) for trial in recorded} == trials


def test_the_labels_in_the_help_of_plan_are_those_of_the_default_run() -> None:
    help_text = plan.__doc__ or ""
    (example,) = re.findall(r"Example: `opselect (.*)`", help_text)
    words = shlex.split(example)
    labels = {words[words.index(option) + 1] for option in ("--first", "--second")}
    text = (ROOT / "bench" / "experiment" / "packaged" / "digits201.toml").read_text(encoding="utf-8")
    assert words[:2] == ["plan", "runs/digits201"]
    assert labels <= set(parse(text, "digits201").labels)
