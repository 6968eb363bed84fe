"""What users call from Python: open a table, run an experiment, select, score, compare, draw.

The command line and these functions share their code, their defaults and their messages. Nothing here prints, and
nothing ends the process: what is wrong is an exception, a `UserError` where the caller can correct it. Heavy libraries
are imported by the function that needs them, so that a table opens without torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opselect.spaces.errors import UserError
from opselect.spaces.notations import AnyArchitecture, read_architecture
from opselect.spaces.registry import UnknownName, did_you_mean, load
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import Table
from opselect.spaces.table import load as open_table

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from opselect.bench.experiment.study import Study
    from opselect.bench.gate.compare import Finding
    from opselect.bench.runs.records import Record, Result
    from opselect.bench.runs.run import Run
    from opselect.selectors.proxies.interface import Proxy
    from opselect.spaces.images import LabelledImages

DRAWING_KINDS = ("pdf", "png", "svg")

MEASURES: Mapping[str, str] = {"test accuracy": "test_accuracy", "first-step Spearman with best-acc": "spearman"}
"""By measure of the gate, the beginning of its columns in the frame of a comparison."""

COMPARISON: Mapping[str, str] = {
    "label": "string",
    "verdict": "string",
    "reasons": "string",
    "seeds": "int64",
    "exact": "int64",
    "equal": "int64",
    "test_accuracy_difference": "float64",
    "test_accuracy_p_value": "float64",
    "spearman_difference": "float64",
    "spearman_p_value": "float64",
    "cost_ratio": "float64",
    "evaluations_ratio": "float64",
}
"""Columns and types of a comparison's frame. `seeds` are those in both runs, `equal` those of them with the same
architecture, `exact` those where nothing but the code can make a difference; ratios are run over baseline."""


class InvalidArgument(UserError, ValueError):
    """An argument that a function cannot take; the message says which values it takes."""


class FailedTrial(UserError, RuntimeError):
    """A selection that ended with an error; the message is the reason that a run would record."""


class NoScore(UserError, ValueError):
    """A network that a proxy cannot score; the message says what it lacks."""


def load_table(name: str | Path) -> Table:
    """Open a table of accuracies.

    Args:
        name: Name of a registered or imported table, or path of a `.parquet` file.

    Raises:
        UnknownName: No table has this name.
        MissingData: The file is missing.
        InvalidTable: The file cannot be read as a table.

    Example:
        >>> table = load_table("digits201")
        >>> cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        >>> round(table.accuracy(cell), 2)
        60.82
    """
    return open_table(str(name))


def run(
    experiment: str | Path | Mapping[str, Any],
    output: str | Path | None = None,
    workers: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> "Run":
    """Run an experiment, or go on with it: finished trials are kept at once, a second call does what is missing.

    A trial that fails is no error: its record has the reason, the others go on, and the next call tries it again.

    Args:
        experiment: Path of an experiment file, name of a packaged experiment, or the content of such a file.
        output: Folder of the records; `runs/NAME` by default, with the name of the experiment.
        workers: Number of worker processes, each with one thread; 0 for one per core, 1 for this process itself.
        progress: Called with the kind of work, the number of finished items and the number of all items after every
            finished item; `print` will do. None for silence.

    Returns:
        The run, as `load_run` reads it from the folder.

    Raises:
        InvalidExperiment: The experiment is wrong, or is a study of several; nothing has been started.
        InvalidArgument: The number of workers is negative.
        MissingData, InvalidImages, InvalidTable, NotTrainable: It names what is not there; nothing has been started.
        InvalidRecords: The folder's records cannot be read, or another run is writing them.
        NotWritten: The disk is full, or the folder cannot be written; finished results remain.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> experiment = {
        ...     "name": "chance",
        ...     "space": "digits201",
        ...     "images": "digits",
        ...     "seeds": [0, 1],
        ...     "table": {"name": "digits201", "dataset": "digits", "epochs": 10},
        ...     "selector": [{"name": "random"}],
        ... }
        >>> with TemporaryDirectory() as folder:
        ...     finished = run(experiment, folder, workers=1)
        >>> finished
        <Run 'chance': 2 of 2 trials of 1 selector>
        >>> finished.to_frame()[["label", "seed", "test_accuracy"]].round(2).values.tolist()
        [['random', 0, 60.36], ['random', 1, 60.57]]
    """
    from opselect.bench.runs import runner
    from opselect.bench.runs.run import load_run
    from opselect.bench.runtime.parallel import available_cores

    if workers < 0:
        raise InvalidArgument(f"workers = {workers}, expected a number of processes, or 0 for one per core")
    study = _study_of(experiment)
    wanted = study.only
    folder = Path("runs") / wanted.name if output is None else Path(output)
    with _same_threads():
        runner.run_study(study, folder, workers or available_cores(), progress or (lambda *_: None))
    return load_run(folder)


def _study_of(experiment: str | Path | Mapping[str, Any]) -> "Study":
    """The study that a name, a path or the content of an experiment file stands for."""
    import tomli_w

    from opselect.bench.experiment.file import InvalidExperiment
    from opselect.bench.experiment.study import find_study, parse_study

    if not isinstance(experiment, Mapping):
        return find_study(str(experiment))
    try:
        text = tomli_w.dumps(experiment)
    except (TypeError, ValueError) as error:
        raise InvalidExperiment(f"experiment: {error}; expected texts, numbers, lists and dictionaries") from None
    return parse_study(text, "experiment")


@contextmanager
def _same_threads() -> Iterator[None]:
    """Give torch its number of threads back: trials in this process use one."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, repr=False)
class SelectionResult:
    """An architecture that a selector chose, and how good it is by the table; a notebook shows its cells.

    Attributes:
        space: Search space of the architecture.
        record: The record of the trial, as a run keeps it.

    Example:
        >>> chosen = select("random", space="digits201", images="digits", seed=1)
        >>> chosen  # doctest: +ELLIPSIS
        <Selection by random, seed 1: ..., test 60.57 %>
        >>> print(chosen)
        |nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_3x3~0|nor_conv_1x1~1|skip_connect~2|
        >>> chosen.architecture.operations[0], chosen.trace().loc[0, ["edge", "operation"]].tolist()
        ('nor_conv_3x3', ['0→1', 'nor_conv_3x3'])
    """

    space: SearchSpace
    record: "Record"

    @property
    def architecture(self) -> Architecture:
        """The selected architecture."""
        return self.space.parse(str(self))

    @property
    def test_accuracy(self) -> float | None:
        """Test accuracy in percent, mean over the table's seeds; None without a table."""
        return self._result.test_accuracy

    @property
    def valid_accuracy(self) -> float | None:
        """Validation accuracy in percent, mean over the table's seeds; None without a table."""
        return self._result.valid_accuracy

    @property
    def regret(self) -> float | None:
        """Percentage points that the table's best architecture is better by; None without a table."""
        return self._result.regret

    @property
    def percentile(self) -> float | None:
        """Percent of the table's architectures with a lower test accuracy; None without a table."""
        return self._result.percentile

    @property
    def search_seconds(self) -> float:
        """Wall seconds of the search, training of the supernet included."""
        return self.record.cost.search_seconds if self.record.cost else 0.0

    def trace(self) -> "pd.DataFrame":
        """All decisions as a frame, one row each: see `Run.trace`."""
        return self._run.trace()

    def scores(self) -> "pd.DataFrame":
        """All operation scores as a frame, one row each: see `Run.scores`."""
        return self._run.scores()

    @property
    def _result(self) -> "Result":
        assert self.record.result is not None, "a failed trial selects nothing"
        return self.record.result

    @property
    def _run(self) -> "Run":
        from opselect.bench.runs.run import Run

        return Run.of([self.record], [self.record.label])

    def __str__(self) -> str:
        """The architecture in the notation of the space."""
        return self._result.architecture

    def __repr__(self) -> str:
        """Selector, seed, architecture and test accuracy."""
        accuracy = "" if self.test_accuracy is None else f", test {self.test_accuracy:.2f} %"
        return f"<Selection by {self.record.label}, seed {self.record.trial.seed}: {self}{accuracy}>"

    def _repr_svg_(self) -> str:
        return Drawing(self.space, self.architecture)._repr_svg_()


def select(
    selector: str,
    space: str = "digits201",
    images: str = "digits",
    seed: int = 0,
    *,
    table: Mapping[str, Any] | None = None,
    supernet: Mapping[str, Any] | None = None,
    supernets: str | Path = "runs/supernets",
    **settings: Any,
) -> SelectionResult:
    """Run one selector with one seed, without a folder of records.

    Args:
        selector: Registered name of the selector.
        space: Registered name of the search space.
        images: Registered name of the images, or path of an `.npz` file.
        seed: Seed of the trial.
        table: Accuracies that the selection is measured against, as the section `[table]` of an experiment file. By
            default those of the table with the name of the space, where they are known for these images after one
            number of epochs; otherwise none.
        supernet: Training of the supernet, as the section `[supernet]` of an experiment file; `darts` by default.
        supernets: Folder where trained supernets are kept; nothing is written for a selector that needs none.
        settings: Settings of the selector; those that are not given have its defaults.

    Raises:
        InvalidExperiment: The selector or a setting is unknown or out of range, or does not fit the images.
        MissingData, InvalidImages, InvalidTable: Data are absent or damaged.
        NotWritten: The supernet that it needs cannot be stored.
        FailedTrial: The selection ended with an error.

    Example:
        >>> chosen = select("zero-cost-pt", seed=0, proxy="synflow", candidates=1, batch_size=16, validation_batches=1)
        >>> print(chosen)
        |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|
        >>> round(chosen.test_accuracy, 2), round(chosen.regret, 2)
        (63.0, 1.61)
    """
    from opselect.bench.runs.select import run_alone, trial_named

    content: dict[str, Any] = {"name": "select", "space": space, "images": images, "seeds": [seed]}
    content |= {"supernet": dict(supernet or {}), "selector": [{"name": selector, **settings}]}
    if accuracies := _own_table(space, images) if table is None else dict(table):
        content["table"] = accuracies
    experiment = _study_of(content).only
    with _same_threads():
        record = run_alone(trial_named(experiment, selector, seed, {}, Path(supernets)))
    if record.result is None:
        raise FailedTrial(f"{selector}, seed {seed}: {record.reason}")
    return SelectionResult(experiment.load_space(), record)


def _own_table(space: str, images: str) -> dict[str, Any]:
    """The table of a space as in an experiment file, where it has test accuracies of one training on these images."""
    try:
        columns = [column for column in open_table(space).columns if column[:2] == (images, "test")]
    except UserError:  # the space has no table, or it is not on this machine
        return {}
    return {"name": space, "dataset": images, "epochs": columns[0][2]} if len(columns) == 1 else {}


def score(
    network: "nn.Module | AnyArchitecture",
    proxy: "str | Proxy",
    batch: "str | LabelledImages" = "digits",
    *,
    space: str = "digits201",
    batch_size: int = 64,
    seed: int = 0,
) -> float:
    """The score of a network by a zero-cost proxy; larger is better, infinite or NaN where it is undefined.

    An architecture is scored as `opselect proxies` does: as a stand-alone network at initialisation, on one batch.

    Args:
        network: A network of images, or an architecture of the space in any form.
        proxy: Registered name of the proxy, or the proxy itself.
        batch: Name of the images from which the batch is drawn, or path of their `.npz` file; or the batch itself.
        space: Registered name of the search space of an architecture.
        batch_size: Number of images in a batch that is drawn.
        seed: Seed of a batch that is drawn and of the parameters of an architecture's network.

    Raises:
        UnknownName: No proxy, space or images have this name.
        InvalidArchitecture: The architecture is not one of the space.
        InvalidArgument: An architecture comes with a batch itself, which does not say how many classes there are.
        TooFewImages: There are fewer images than a batch needs.
        MissingData, InvalidImages: Images are absent or damaged.
        NoScore: The network has nothing that the proxy measures.

    Example:
        >>> cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> score(cell, "params")
        13426.0
        >>> from opselect.spaces.digits import digits
        >>> space = load("spaces", "digits201")
        >>> network = space.network(space.parse(cell), image_channels=1, classes=10, seed=3)
        >>> score(network, "params", digits().train[:16])
        13426.0
    """
    from torch import nn

    from opselect.bench import proxy_study
    from opselect.selectors.proxies.interface import UnscorableNetwork

    measure: Proxy = load("proxies", proxy) if isinstance(proxy, str) else proxy
    if not isinstance(network, nn.Module):
        if not isinstance(batch, str):
            raise InvalidArgument(
                "an architecture with a batch of images, expected the name of the images, which says how many classes "
                "they have; give a network to score it on a batch of your own"
            )
        architecture = read_architecture(network, load("spaces", space))
        network = proxy_study.network_of(space, architecture, batch, seed)
    try:
        drawn = proxy_study.draw_batch(space, batch, batch_size, seed) if isinstance(batch, str) else batch
        return float(measure(network, drawn))
    except UnscorableNetwork as error:
        raise NoScore(f"{proxy}: {error}") from None


@dataclass(frozen=True, repr=False)
class Comparison:
    """A run against a baseline: one finding per selector of the baseline; it prints as `opselect check` does.

    Attributes:
        findings: Findings in the order of the baseline.
        run: Name of the run.
        baseline: Name of the baseline.

    Example:
        >>> nothing = Comparison((), "now", "before")
        >>> nothing.status, nothing.to_frame()["verdict"].tolist()
        (0, [])
    """

    findings: "tuple[Finding, ...]"
    run: str
    baseline: str

    @property
    def status(self) -> int:
        """0 without a change for the worse, 1 with one, 2 where something could not be compared."""
        from opselect.bench.gate.compare import status_of

        return status_of(self.findings)

    def to_frame(self) -> "pd.DataFrame":
        """One row per selector, with the columns of `COMPARISON`."""
        from opselect.bench.runs.frames import frame_of

        rows = []
        for finding in self.findings:
            row = asdict(finding) | {"verdict": finding.verdict.text, "reasons": "; ".join(finding.reasons)}
            for judgement in finding.judgements:
                name = MEASURES[judgement.measure]
                row |= {f"{name}_difference": judgement.shift.value, f"{name}_p_value": judgement.shift.p_value}
            rows.append(row)
        return frame_of(rows, COMPARISON)

    def __str__(self) -> str:
        """The findings in Markdown that fits a pull request."""
        from opselect.bench.gate.compare import markdown

        return markdown(self.findings, self.run, self.baseline)

    def __repr__(self) -> str:
        """The verdicts."""
        verdicts = ", ".join(f"{finding.label}: {finding.verdict.text}" for finding in self.findings)
        return f"<Comparison of {self.run} with {self.baseline}: {verdicts}>"

    def _repr_markdown_(self) -> str:
        return str(self)


def compare(
    run: "Run | str | Path",
    baseline: "Run | str | Path",
    *,
    level: float = 0.05,
    cost_tolerance: float = 2.0,
    statistical: bool = False,
    selectors: Sequence[str] = (),
) -> Comparison:
    """Compare a run with a baseline, as `opselect check` does: architectures, accuracies, operation scores and costs.

    Args:
        run: Run that is checked, or its folder.
        baseline: Run that is trusted, or its folder.
        level: Chance of any false alarm, over all selectors and measures together.
        cost_tolerance: How many times slower a search may be on the same kind of processor.
        statistical: Whether to judge means even where records should be equal to the last bit.
        selectors: Labels to compare; all of the baseline if empty.

    Raises:
        CannotCompare: The runs are of different spaces, images or tables, or the baseline lacks a selector.
        InvalidRecords, InvalidExperiment, MixedRecords: A folder does not hold a run.

    Example:
        >>> from opselect.bench.runs.run import Run
        >>> chosen = [select("random", seed=seed).record for seed in range(5)]
        >>> now, before = Run.of(chosen, [], title="now"), Run.of(chosen, [], title="before")
        >>> compare(now, before)
        <Comparison of now with before: random: same>
        >>> compare(now, before).status
        0
    """
    from opselect.bench.gate.compare import check
    from opselect.bench.runs.run import Run, load_run

    ours, theirs = (given if isinstance(given, Run) else load_run(given) for given in (run, baseline))
    names = [given.title if isinstance(given, Run) else str(given) for given in (run, baseline)]
    return Comparison(tuple(check(ours, theirs, level, cost_tolerance, statistical, selectors)), *names)


@dataclass(frozen=True)
class Drawing:
    """The cells of an architecture as a graph, which a notebook shows.

    Attributes:
        space: Search space of the architecture.
        architecture: The architecture.
        title: Text above the cells, none where it is empty.

    Example:
        >>> draw("DARTS_V2", "darts", "DARTS, second order").save("darts_v2.gif")
        Traceback (most recent call last):
        opselect.spaces.registry.UnknownName: darts_v2.gif: a file of kind 'gif'; known are pdf, png, svg
    """

    space: SearchSpace
    architecture: Architecture
    title: str = ""

    def save(self, path: str | Path) -> Path:
        """Write a `.pdf`, `.png` or `.svg` file, and return its path.

        Args:
            path: Path of the file, whose ending says which kind it is.

        Raises:
            UnknownName: The path has another ending.
            NotWritten: The disk is full, or the folder cannot be written.
        """
        from opselect.bench.report.page import write_file

        return write_file(Path(path), self._as(check_drawing_kind(path)))

    def _as(self, kind: str) -> bytes:
        from opselect.bench.report.figures import draw_cells

        (content,) = draw_cells(self.space, self.architecture, (kind,), self.title)
        return content

    def _repr_svg_(self) -> str:
        return self._as("svg").decode()


def check_drawing_kind(path: str | Path) -> str:
    """The kind of file that the ending of a path says: `pdf`, `png` or `svg`.

    Raises:
        UnknownName: The path has another ending.
    """
    kind = Path(path).suffix.removeprefix(".")
    if kind not in DRAWING_KINDS:
        raise UnknownName(f"{path}: a file of kind {kind!r}{did_you_mean(kind, DRAWING_KINDS)}")
    return kind


def draw(architecture: AnyArchitecture, space: str, title: str = "") -> Drawing:
    """Draw the cells of an architecture; a notebook shows them, and `save` writes them to a file.

    Args:
        architecture: The architecture in any form: text, a published genotype's name, a genotype, or operations.
        space: Registered name of its search space.
        title: Text above the cells; papers have captions instead.

    Raises:
        UnknownName: No space has this name.
        InvalidArchitecture: The architecture is not one of the space.

    Example:
        >>> drawing = draw("DARTS_V2", "darts")
        >>> "<svg" in drawing._repr_svg_()
        True
    """
    loaded = load("spaces", space)
    return Drawing(loaded, read_architecture(architecture, loaded), title)
