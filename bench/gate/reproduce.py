"""Repeating a finished experiment from its own description, and comparing the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opselect.bench.experiment.file import Experiment, InvalidExperiment, read
from opselect.bench.experiment.study import narrowed
from opselect.bench.gate.compare import DECISIVE, change_between, is_same_outcome
from opselect.bench.report.formatting import listing, value_text
from opselect.bench.report.page import render_tables
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run, load_run, load_study_run
from opselect.bench.runs.runner import Finished, Progress, with_name
from opselect.bench.runs.runner import run as run_experiment
from opselect.bench.runtime.parallel import Workers


@dataclass(frozen=True)
class Repeated:
    """Comparison of one repeated trial with the earlier one.

    Attributes:
        label: Label of the selector.
        seed: Seed of the trial.
        difference: Description of the difference between the two results; None where they are equal to the last bit.
        explanations: Versions, data or properties of the machine that differ and may explain the difference.
    """

    label: str
    seed: int
    difference: str | None
    explanations: tuple[str, ...]


@dataclass(frozen=True)
class Reproduction:
    """Comparison of a repeated experiment with the earlier run.

    Attributes:
        trials: Repeated trials, in the order of the experiment.
        missing: Label and seed of every trial that is not in the records of the earlier run.
        equal_tables: Names of the report's table files that are equal byte for byte, made from the trials of both.
        other_tables: Names of the table files that differ.
    """

    trials: tuple[Repeated, ...]
    missing: tuple[tuple[str, int], ...]
    equal_tables: tuple[str, ...]
    other_tables: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status: 0 where all is equal, 1 where a difference has no explanation, otherwise 2."""
        differences = [trial for trial in self.trials if trial.difference is not None]
        if any(not trial.explanations for trial in differences):
            return 1
        return 2 if differences or not self.trials else 0


@dataclass(frozen=True)
class Repetition:
    """What is repeated.

    Attributes:
        before: Earlier runs, by folder inside the study; that of a single experiment is "".
        experiments: What is run again, by the same folder.
    """

    before: dict[str, Run]
    experiments: dict[str, Experiment]


def repetition_of(folder: Path, output: Path, labels: Sequence[str] = (), seeds: Sequence[int] = ()) -> Repetition:
    """Read what is to be repeated: the experiment file in the folder of a run, and its records.

    Args:
        folder: Folder of a run or of a study.
        output: Folder of the new records, not the same one.
        labels: Labels of the selectors to repeat; all by default.
        seeds: Seeds to repeat; all by default.

    Raises:
        InvalidRecords: The folder holds no records.
        InvalidExperiment: The experiment file is damaged or lacks a label or seed, or the output is the run itself.
    """
    if output.resolve() == folder.resolve():
        raise InvalidExperiment(f"{output}: is the run itself; expected another folder for the new records")
    study = load_study_run(folder)
    runs = {"": load_run(folder)} if study is None else study.runs
    experiments = {
        name: narrowed(read(folder / name / "experiment.toml"), labels, seeds, str(folder / name)) for name in runs
    }
    return Repetition(runs, experiments)


def reproduce(
    repetition: Repetition,
    output: Path,
    workers: Workers,
    progress: Progress,
    finished: Finished = lambda kind, seconds: None,
) -> dict[str, Reproduction]:
    """Run experiments again, and compare the results with the earlier ones.

    Args:
        repetition: What `repetition_of` has read.
        output: Folder of the new records; trials that it already has are not run again.
        workers: Processes of this machine, or a cluster.
        progress: Called after every step.
        finished: Called with the kind and the seconds of every step.

    Returns:
        Comparisons by folder inside the study; the experiment of a run has the name "".

    Raises:
        InvalidRecords: Another run is writing to the output.
        MissingData, InvalidImages, InvalidTable, NotTrainable: Data that the experiment names are absent or damaged.
    """
    reproductions = {}
    for name, experiment in repetition.experiments.items():
        summary = run_experiment(experiment, output / name, workers, *with_name(name, progress, finished))
        now = Run.of(summary.records, experiment.labels, summary.networks)
        reproductions[name] = compare_runs(repetition.before[name], now, experiment)
    return reproductions


def compare_runs(before: Run, now: Run, experiment: Experiment) -> Reproduction:
    """Compare a repetition with the trials of the same labels and seeds of an earlier run.

    Args:
        before: Earlier run.
        now: Repetition.
        experiment: Experiment that names the trials to compare, in their order.

    Returns:
        The comparison of trials and of the report's table files.
    """
    earlier, later = ({(record.label, record.trial.seed): record for record in run.all} for run in (before, now))
    wanted = [(entry.label, seed) for entry, seed in experiment.runs]
    both = [key for key in wanted if key in earlier]
    tables = [
        render_tables(
            Run(
                {label: tuple(records[key] for key in sorted(both) if key[0] == label) for label in experiment.labels},
                run.training_records,
            )
        )
        for records, run in ((earlier, before), (later, now))
    ]
    names = sorted(tables[0].keys() | tables[1].keys())
    equal = tuple(name for name in names if tables[0].get(name) == tables[1].get(name))
    return Reproduction(
        trials=tuple(_repeated(earlier[key], later[key]) for key in both),
        missing=tuple(key for key in wanted if key not in earlier),
        equal_tables=equal,
        other_tables=tuple(name for name in names if name not in equal),
    )


def _repeated(before: Record, now: Record) -> Repeated:
    difference = None if is_same_outcome(now, before) else change_between(now, before)
    return Repeated(now.label, now.trial.seed, difference, _explanations(before, now))


def _explanations(before: Record, now: Record) -> tuple[str, ...]:
    """Facts that differ between two trials of the same settings and may change a result."""
    facts = [
        {
            **{f"version of {name}": version for name, version in record.trial.software.items()},
            **{f"version of {name}": version for name, version in _packages(record).items()},
            "hash of the images": record.trial.images_hash,
            "fingerprint of the table": record.trial.table.fingerprint if record.trial.table else None,
            **{item: record.environment.get(item) for item in DECISIVE},
        }
        for record in (before, now)
    ]
    explanations = [
        f"{what}: {value_text(facts[0].get(what))} before, {value_text(value)} now"
        for what, value in facts[1].items()
        if facts[0].get(what) != value
    ]
    if now.trial.device != "cpu":
        explanations.append(f"sums on {now.trial.device} have no fixed order")
    return tuple(explanations)


def _packages(record: Record) -> Mapping[str, str]:
    return record.trial.code.packages if record.trial.code else {}


def summary_text(reproductions: Mapping[str, Reproduction]) -> str:
    """The comparisons in words, one statement per line; each experiment of a study under its name."""
    lines = []
    for name, reproduction in reproductions.items():
        equal = [trial for trial in reproduction.trials if trial.difference is None]
        lines += [f"{name}:"] if name else []
        lines.append(f"{len(equal)} of {len(reproduction.trials)} trials are equal to the last bit")
        tables = len(reproduction.equal_tables) + len(reproduction.other_tables)
        others = f"; others: {listing(reproduction.other_tables)}" if reproduction.other_tables else ""
        lines.append(f"{len(reproduction.equal_tables)} of {tables} table files are equal byte for byte{others}")
        for trial in reproduction.trials:
            if trial.difference is not None:
                lines.append(f"different: {trial.label}, {trial.difference}")
        different = [trial for trial in reproduction.trials if trial.difference is not None]
        for reason in dict.fromkeys(reason for trial in different for reason in trial.explanations):
            lines.append(f"may be why: {reason}")
        if any(not trial.explanations for trial in different):
            lines.append("nothing but the code of opselect, or of a plug-in, can be why")
        for label, seed in reproduction.missing:
            lines.append(f"not compared: {label}, seed {seed}, of which the run has no record")
    return "\n".join(lines)
