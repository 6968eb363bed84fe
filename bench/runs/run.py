"""From folders to reports, and single selections: what the command line does beside running experiments."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from opselect.bench.evaluation.networks import TrainingRecord, read_trainings
from opselect.bench.experiment.file import (
    Experiment,
    InvalidExperiment,
    SelectorEntry,
    check_ingredients,
    read,
    selector_entry,
)
from opselect.bench.experiment.study import FILE_NAME as STUDY_FILE
from opselect.bench.experiment.study import read_study
from opselect.bench.report.formatting import listed
from opselect.bench.report.summaries import ORACLES
from opselect.bench.runs.records import FILE_NAME, Record, Result, read_records
from opselect.bench.runs.store import InvalidRecords
from opselect.bench.runs.trial import Trial, run_trial, train
from opselect.bench.runs.trials import Trials, trials_of
from opselect.bench.runtime.parallel import use_single_thread
from opselect.spaces.errors import UserError
from opselect.spaces.files import check_writable
from opselect.spaces.space import SearchSpace


class Run(NamedTuple):
    """What a report is made of.

    Attributes:
        records: of the trials.
        experiment: that they belong to.
        networks: trainings of the networks that they selected.
    """

    records: list[Record]
    experiment: Experiment
    networks: list[TrainingRecord]

    @property
    def trials(self) -> Trials:
        """The same, joined and sorted as summaries want it."""
        return trials_of(self.records, self.experiment.labels, self.networks)


def load_run(folder: Path) -> Run:
    """The records of a run that its experiment file asks for, and the experiment.

    A folder may hold records of earlier versions of its experiment file: those whose label, seed or settings it no
    longer has are left out, and of several for one label and seed the last one written counts.

    Raises:
        InvalidRecords: the folder holds no records.
        InvalidExperiment: its experiment file is absent or damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InvalidRecords(f"{path}: no such file; expected the folder of a run, as 'opselect run' prints it")
    experiment = read(folder / "experiment.toml")
    settings = {entry.label: (entry.name, entry.settings.model_dump(mode="json")) for entry in experiment.selectors}
    latest = {
        (record.label, record.trial.seed): record
        for record in read_records(path)
        if settings.get(record.label) == (record.trial.selector, record.trial.settings)
    }
    wanted = [(entry.label, seed) for entry, seed in experiment.runs]
    records = [latest[key] for key in wanted if key in latest]
    if not records:
        raise InvalidRecords(
            f"{path}: no record of any selector and seed of {folder / 'experiment.toml'}; run it first"
        )
    space = experiment.load_space()
    for record in records:
        if record.result is not None and (problem := _misfit(record.result, space)):
            raise InvalidRecords(
                f"{path}: {record.label}, seed {record.trial.seed}: {problem}; expected what 'opselect run' writes"
            )
    return Run(records, experiment, _networks(folder, experiment, records))


def _misfit(result: Result, space: SearchSpace) -> str:
    """What in a result cannot be of the space, empty where nothing is."""
    try:
        space.parse(result.architecture)
    except UserError as error:
        return str(error)
    sizes = [len(edge.operations) for edge in space.edges]
    for number, step in enumerate(result.steps, start=1):
        if not 0 <= step.edge < len(sizes) or not 0 <= step.operation < sizes[step.edge]:
            return f"step {number} decides an edge or an operation that {space.name} has not"
        for scores in (step.scores, *step.truth.values()):
            if any(not 0 <= edge < len(sizes) or len(values) != sizes[edge] for edge, values in scores.items()):
                return f"step {number} scores other edges or operations than those of {space.name}"
        if step.truth.keys() not in (set(), set(ORACLES)):
            return f"step {number} has the oracles {listed(step.truth)}, expected {listed(ORACLES)} or none"
        if any(values.keys() != step.scores.keys() for values in step.truth.values()):
            return f"step {number} does not score the same edges by itself and by an oracle"
    accuracies = (result.valid_accuracy, result.test_accuracy, result.regret, result.percentile)
    others = (*result.test_accuracies, *result.other_test_accuracies.values())
    if any(value is not None and not math.isfinite(value) for value in (*accuracies, *others)):
        return "an accuracy that is no number"
    return ""


class StudyRun(NamedTuple):
    """What the overview of a study is made of: its title, and by folder what the report of each experiment is."""

    title: str
    runs: dict[str, Run]


def load_study_run(folder: Path) -> StudyRun | None:
    """The runs of a study's folder; None where the folder is of a single experiment.

    Raises:
        InvalidRecords: one of its experiments has no records.
        InvalidExperiment: an experiment file is absent or damaged.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        return None
    study = read_study(path)
    return StudyRun(study.title, {name: load_run(folder / name) for name in study.experiments})


def _networks(folder: Path, experiment: Experiment, records: Sequence[Record]) -> list[TrainingRecord]:
    """The trainings of the selected networks by the experiment's recipe, the last one written for each seed."""
    choice = experiment.training
    if choice is None:
        return []
    selected = {record.result.architecture for record in records if record.result is not None}
    recipe = choice.training.model_dump(mode="json")
    latest = {
        (training.network.genotype, training.network.seed): training
        for training in read_trainings(folder)
        if training.network.genotype in selected
        and training.network.seed in choice.seeds
        and (training.network.channels, training.network.cells) == (choice.channels, choice.cells)
        and training.network.stem == choice.stem
        and training.network.training == recipe
        and training.network.training_images == experiment.training_images
    }
    return list(latest.values())


def select_once(experiment: Experiment, name: str, seed: int, settings: list[str], supernets: Path) -> Record:
    """Run one selector with one seed, with the experiment's space, images, table and supernet.

    Args:
        experiment: where everything but the selector comes from.
        name: a label of the experiment, a name that its selectors have, or any registered selector.
        seed: the trial's.
        settings: changes to the selector's settings, `KEY=VALUE`.
        supernets: folder of trained supernets.

    Raises:
        InvalidExperiment: the selector or a setting is unknown or out of range.
        NotWritten: the supernet that it needs cannot be kept.
    """
    entry = next(
        (entry for entry in experiment.selectors if entry.label == name),
        next((entry for entry in experiment.selectors if entry.name == name), None),
    )
    content = {"name": entry.name} | entry.settings.model_dump(exclude_unset=True) if entry else {"name": name}
    content |= dict(parsed_setting(text, "proxy=synflow") for text in settings)
    chosen: SelectorEntry = selector_entry(content, "select")
    experiment = experiment.model_copy(update={"selectors": (chosen,)})
    check_ingredients(experiment)
    use_single_thread()
    trial = Trial(experiment, chosen, seed, supernets)
    if trial.supernet_job:
        check_writable(supernets)
    return run_trial(trial, prevented=train(trial.supernet_job) if trial.supernet_job else None)


def parsed_setting(text: str, example: str) -> tuple[str, object]:
    """Name and value of a setting from the command line, the value a number where it looks like one.

    Args:
        text: `KEY=VALUE`.
        example: of such a text, for the message.

    Raises:
        InvalidExperiment: it is nothing of this form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidExperiment(f"--set {text!r}: expected KEY=VALUE, for example {example}")
    for number in (int, float):
        try:
            return key, number(value)
        except ValueError:
            continue
    return key, value
