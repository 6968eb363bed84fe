"""Running a finished experiment again from its own description, and saying what came out equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opselect.bench.experiment.file import Experiment, InvalidExperiment, read
from opselect.bench.gate.compare import DECISIVE, change_between, is_same_outcome
from opselect.bench.report.formatting import listing, value_text
from opselect.bench.report.page import render_tables
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run, load_run, load_study_run
from opselect.bench.runs.runner import Progress
from opselect.bench.runs.runner import run as run_experiment
from opselect.bench.runtime.parallel import Workers


@dataclass(frozen=True)
class Repeated:
    """One trial that was run again.

    Attributes:
        label: of the selector.
        seed: of the trial.
        difference: between the two outcomes; None where they are equal to the last bit.
        explanations: what may account for a difference: versions, data or machines that are not the same.
    """

    label: str
    seed: int
    difference: str | None
    explanations: tuple[str, ...]


@dataclass(frozen=True)
class Reproduction:
    """What running an experiment again has given.

    Attributes:
        trials: in the order of the experiment.
        missing: label and seed of the trials that the run has no record of, so that there is nothing to compare.
        equal_tables: names of the report's table files that the same trials of both give byte for byte.
        other_tables: those that differ.
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


def reproduce(
    folder: Path,
    output: Path,
    workers: Workers,
    progress: Progress,
    labels: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> dict[str, Reproduction]:
    """Run the experiment of a folder again from the description that is kept there, and compare.

    Args:
        folder: of a run or a study.
        output: folder of the new records, another one; what it holds already is not run again.
        workers: processes of this machine, or a cluster.
        progress: told about every step.
        labels: of the selectors to repeat; all by default.
        seeds: to repeat; all by default.

    Returns:
        By folder inside the study, what came out; "" for the experiment of a run.

    Raises:
        InvalidRecords: the folder holds no records, or another run is writing to the output.
        InvalidExperiment: the description is damaged, has none of the labels or seeds, or the output is the run itself.
        MissingData, InvalidImages, InvalidTable, NotTrainable: what it names is not here.
    """
    if output.resolve() == folder.resolve():
        raise InvalidExperiment(f"{output}: is the run itself; expected another folder for the new records")
    study = load_study_run(folder)
    runs = {"": load_run(folder)} if study is None else study.runs
    narrowed = {name: _narrowed(read(folder / name / "experiment.toml"), labels, seeds, folder / name) for name in runs}
    found = {}
    for name, before in runs.items():
        experiment = narrowed[name]
        summary = run_experiment(experiment, output / name, workers, progress)
        now = Run.of(summary.records, experiment.labels, summary.networks)
        found[name] = compared(before, now, experiment)
    return found


def _narrowed(experiment: Experiment, labels: Sequence[str], seeds: Sequence[int], where: Path) -> Experiment:
    """The experiment with some of its selectors and seeds only."""
    for what, asked, known in (
        ("selector", labels, experiment.labels),
        ("seed", seeds, tuple(dict.fromkeys(seed for _, seed in experiment.runs))),
    ):
        for each in asked:
            if each not in known:
                raise InvalidExperiment(f"{where}: has no {what} {each!r}; expected one of {listing(known)}")
    selectors = tuple(
        entry.model_copy(update={"seeds": chosen})
        for entry in experiment.selectors
        if (not labels or entry.label in labels)
        and (chosen := tuple(s for s in entry.seeds or experiment.seeds if not seeds or s in seeds))
    )
    return experiment.model_copy(update={"selectors": selectors})


def compared(before: Run, now: Run, experiment: Experiment) -> Reproduction:
    """Compare a repetition with the trials of the same labels and seeds of an earlier run.

    Args:
        before: the earlier run.
        now: the repetition.
        experiment: that says which trials are compared, and in which order.
    """
    earlier, later = ({(record.label, record.trial.seed): record for record in run.all} for run in (before, now))
    asked = [(entry.label, seed) for entry, seed in experiment.runs]
    both = [key for key in asked if key in earlier]
    tables = [
        render_tables(
            Run(
                {label: tuple(records[key] for key in sorted(both) if key[0] == label) for label in experiment.labels},
                run.networks,
            )
        )
        for records, run in ((earlier, before), (later, now))
    ]
    names = sorted(tables[0].keys() | tables[1].keys())
    equal = tuple(name for name in names if tables[0].get(name) == tables[1].get(name))
    return Reproduction(
        trials=tuple(_repeated(earlier[key], later[key]) for key in both),
        missing=tuple(key for key in asked if key not in earlier),
        equal_tables=equal,
        other_tables=tuple(name for name in names if name not in equal),
    )


def _repeated(before: Record, now: Record) -> Repeated:
    difference = None if is_same_outcome(now, before) else change_between(now, before)
    return Repeated(now.label, now.trial.seed, difference, _explanations(before, now))


def _explanations(before: Record, now: Record) -> tuple[str, ...]:
    """What is not the same in two trials of the same settings and may change an outcome."""
    facts = [
        {
            **{f"version of {name}": version for name, version in record.trial.software.items()},
            "hash of the images": record.trial.images_hash,
            "fingerprint of the table": record.trial.table.fingerprint if record.trial.table else None,
            **{item: record.environment.get(item) for item in DECISIVE},
        }
        for record in (before, now)
    ]
    found = [
        f"{what}: {value_text(facts[0].get(what))} before, {value_text(value)} now"
        for what, value in facts[1].items()
        if facts[0].get(what) != value
    ]
    if now.trial.device != "cpu":
        found.append(f"sums on {now.trial.device} have no fixed order")
    return tuple(found)


def summary_text(found: Mapping[str, Reproduction]) -> str:
    """What came out, a line a statement; of a study, each experiment under its name."""
    lines = []
    for name, each in found.items():
        equal = [trial for trial in each.trials if trial.difference is None]
        lines += [f"{name}:"] if name else []
        lines.append(f"{len(equal)} of {len(each.trials)} trials are equal to the last bit")
        tables = len(each.equal_tables) + len(each.other_tables)
        others = f"; others: {listing(each.other_tables)}" if each.other_tables else ""
        lines.append(f"{len(each.equal_tables)} of {tables} table files are equal byte for byte{others}")
        for trial in each.trials:
            if trial.difference is not None:
                lines.append(f"different: {trial.label}, {trial.difference}")
        different = [trial for trial in each.trials if trial.difference is not None]
        for reason in dict.fromkeys(reason for trial in different for reason in trial.explanations):
            lines.append(f"may be why: {reason}")
        if any(not trial.explanations for trial in different):
            lines.append("nothing but the code of opselect, or of a plug-in, can be why")
        for label, seed in each.missing:
            lines.append(f"not compared: {label}, seed {seed}, of which the run has no record")
    return "\n".join(lines)
