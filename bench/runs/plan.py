"""What a run would do, and how long that takes by the records of earlier runs."""

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from opselect.bench.evaluation.networks import FILE_NAME as TRAININGS
from opselect.bench.evaluation.networks import NetworkDescription, checkpoints, describe_networks, read_trainings
from opselect.bench.experiment.file import Experiment
from opselect.bench.runs.records import FILE_NAME, Record, TrialDescription, read_records
from opselect.bench.runs.runner import SUPERNETS_FOLDER, check, trial_seconds, trials_of
from opselect.bench.runs.supernets import SupernetJob
from opselect.bench.runs.trial import Trial
from opselect.bench.runtime.forecast import Forecast, Kind, Training, epochs_file
from opselect.bench.storage.provenance import environment
from opselect.spaces.errors import UserError

RESULTS = Path(__file__).resolve().parents[2] / "results"
"""The committed runs of a checkout; an installed package has none."""


@dataclass(frozen=True)
class Plan:
    """What a run of one experiment would do.

    Attributes:
        experiment: The experiment.
        folder: Folder of its records.
        name: Name of the experiment in a study; empty where there is only one.
        done: Trials that have a result, by label.
        waiting: Trials that would run.
        supernets: Trainings of supernets that would run.
        trained: Number of supernets that waiting trials need and that are trained already.
        networks: Number of trainings of selected networks that would run, at most: trials may select the same.
    """

    experiment: Experiment
    folder: Path
    name: str
    done: Mapping[str, int]
    waiting: tuple[Trial, ...]
    supernets: tuple[SupernetJob, ...]
    trained: int
    networks: int

    def kind(self, what: str, label: str = "") -> Kind:
        """A kind of this experiment's steps, with the name of the work that progress bars show."""
        return Kind(f"{self.name} {what}".strip(), label)

    @property
    def steps(self) -> dict[Kind, int]:
        """Number of steps that would run, by kind."""
        counts = Counter(self.kind("supernets", job.supernet.name) for job in self.supernets)
        counts.update(self.kind("trials", trial.entry.label) for trial in self.waiting)
        return {**counts, **({self.kind("networks"): self.networks} if self.networks else {})}

    @property
    def trainings(self) -> list[Training]:
        """The trainings of supernets that would run."""
        return [
            Training(self.kind("supernets", job.supernet.name), epochs_file(job.path), job.supernet.training.epochs)
            for job in self.supernets
        ]


class Past(NamedTuple):
    """How long steps of one kind took in an earlier run.

    Attributes:
        seconds: Seconds of each.
        folder: Folder of the run.
        processor: Processor of the machine, as its records name it.
    """

    seconds: list[float]
    folder: Path
    processor: str


def plan_experiments(experiments: Mapping[str, Experiment], folder: Path) -> list[Plan]:
    """Plan a run of the experiments of a study; nothing is started or written.

    Args:
        experiments: Experiments by their name in the study.
        folder: Folder of the study.

    Raises:
        InvalidExperiment, MissingData, InvalidImages, InvalidTable, NotTrainable: An experiment cannot be run.
        InvalidRecords: A folder's records cannot be read.
    """
    for experiment in experiments.values():
        check(experiment)
    return [_plan(experiment, folder / name, name) for name, experiment in experiments.items()]


def _plan(experiment: Experiment, folder: Path, name: str) -> Plan:
    path = folder / FILE_NAME
    trials = {trial.description.key: trial for trial in trials_of(experiment, folder.absolute() / SUPERNETS_FOLDER)}
    with _without_warnings():
        records = read_records(path) if path.is_file() else []
    done = {record.key: record for record in records if record.status == "done" and record.key in trials}
    waiting = tuple(trial for key, trial in trials.items() if key not in done)
    jobs = dict.fromkeys(trial.supernet_job for trial in waiting if trial.supernet_job)
    missing = tuple(job for job in jobs if not job.path.exists())
    return Plan(
        experiment,
        folder,
        name,
        Counter(trials[key].entry.label for key in done),
        waiting,
        missing,
        len(jobs) - len(missing),
        _networks_at_most(experiment, folder, list(done.values()), len(waiting)),
    )


def _networks_at_most(experiment: Experiment, folder: Path, done: Sequence[Record], waiting: int) -> int:
    """Number of networks that are selected and not trained, if every waiting trial selects another one."""
    if experiment.training is None:
        return 0
    selected = [record.result.architecture for record in done if record.result is not None]
    wanted = describe_networks(
        experiment.space,
        selected,
        experiment.images,
        experiment.training_images,
        experiment.training,
        experiment.device,
    )
    trained = {record.key for record in read_trainings(folder) if record.result is not None}
    untrained = sum(network.key not in trained for network in wanted)
    return untrained + waiting * len(experiment.training.seeds)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Leave warnings about damaged lines to the run itself, which reads them again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def past_steps(plans: Sequence[Plan], earlier: Path | None = None) -> dict[Kind, Past]:
    """How long the steps of some plans took in earlier runs, where there were any.

    Records count whose selector, settings, supernet training, space, images and device are the same; the versions and
    the code may be others. The folder of the run itself comes first, then runs of this kind of processor.

    Args:
        plans: The plans.
        earlier: Folder of a run of the same experiments, where there is one.
    """
    committed = {path.parent: _finished(path.parent) for path in sorted(RESULTS.rglob(FILE_NAME))}
    found: dict[Kind, Past] = {}
    for plan in plans:
        folders = [plan.folder, *([earlier / plan.name] if earlier else [])]
        for past_kind, past in _past_of(plan, {folder: _finished(folder) for folder in folders} | committed):
            before = found.get(past_kind)
            if before is None or (_is_here(past) and not _is_here(before) and before.folder != plan.folder):
                found[past_kind] = past
    return found


def _is_here(past: Past) -> bool:
    return past.processor == environment()["processor"]


def _past_of(plan: Plan, finished: Mapping[Path, Sequence[Record]]) -> Iterator[tuple[Kind, Past]]:
    """What the finished trials of each folder say about the kinds of a plan, in the order of the folders."""
    wanted = {_content(trial.description): trial.entry.label for trial in plan.waiting}
    trained = {
        _training(trial.description): trial.entry.supernet.name for trial in plan.waiting if trial.entry.supernet
    }
    for folder, records in finished.items():
        seconds: dict[Kind, list[float]] = {}
        processor = ""
        for record in records:
            assert record.cost is not None
            processor = str(record.environment.get("processor"))
            if (label := wanted.get(_content(record.trial))) is not None:
                seconds.setdefault(plan.kind("trials", label), []).append(trial_seconds(record.cost))
            if record.trial.training and (name := trained.get(_training(record.trial))) is not None:
                whole = record.cost.seconds.get("supernet training", 0.0)
                seconds.setdefault(plan.kind("supernets", name), []).append(whole)
        if plan.networks and (networks := list(_network_seconds(folder, plan.experiment))):
            seconds[plan.kind("networks")] = networks
        yield from ((kind, Past(taken, folder, processor)) for kind, taken in seconds.items())


def _finished(folder: Path) -> list[Record]:
    """The finished trials of a folder; none where it has no records, or damaged ones."""
    try:
        with _without_warnings():
            return [record for record in read_records(folder / FILE_NAME) if record.result and record.cost]
    except (OSError, UserError):
        return []


def _content(trial: TrialDescription) -> str:
    """What determines how long a trial takes, the seed excepted."""
    return json.dumps([_training(trial), trial.selector, trial.settings, trial.observe], sort_keys=True)


def _training(trial: TrialDescription) -> str:
    """What determines how long the training of a trial's supernet takes, the seed excepted."""
    return json.dumps(
        [trial.space, trial.images, trial.training_images, trial.device, trial.supernet, trial.training], sort_keys=True
    )


def _network_seconds(folder: Path, experiment: Experiment) -> Iterator[float]:
    """Seconds of finished trainings of networks by an experiment's recipe."""
    choice = experiment.training
    if choice is None or not (folder / TRAININGS).is_file():
        return
    sizes = choice.training.model_dump(mode="json"), choice.channels, choice.cells, choice.stem
    images = experiment.images, experiment.training_images
    for record in read_trainings(folder):
        network = record.network
        is_same = (network.training, network.channels, network.cells, network.stem) == sizes
        if is_same and (network.images, network.training_images) == images and record.result is not None:
            yield record.result.seconds


def forecast(plans: Sequence[Plan], past: Mapping[Kind, Past], workers: int) -> Forecast:
    """How long the work of some plans takes, to be asked while it runs.

    Args:
        plans: The plans.
        past: What `past_steps` found.
        workers: Number of steps that run at a time.
    """
    waiting = {kind: count for plan in plans for kind, count in plan.steps.items()}
    trainings = [training for plan in plans for training in plan.trainings]
    return Forecast(waiting, {kind: known.seconds for kind, known in past.items()}, workers, trainings)


def trial_forecast(trial: Trial) -> Forecast:
    """How long a single trial takes, the training of its supernet included.

    Args:
        trial: The trial; its supernet may be trained already.
    """
    job = trial.supernet_job
    jobs = () if job is None or job.path.exists() else (job,)
    plan = Plan(trial.experiment, trial.supernets.parent, "", {}, (trial,), jobs, 0, 0)
    return forecast([plan], past_steps([plan]), 1)


def sources(past: Iterable[Past]) -> list[str]:
    """Where an estimate is from: one text per folder of records."""
    processors = {known.folder: known.processor for known in past}
    here = environment()["processor"]
    return [
        f"{_short(folder)}, {'this kind of processor' if processor == here else processor}"
        for folder, processor in processors.items()
    ]


def _short(folder: Path) -> Path:
    """The path of a folder from the working directory, where it lies in it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def network_forecast(networks: Sequence[NetworkDescription], folder: Path, workers: int) -> Forecast:
    """How long the trainings of networks take that a folder does not hold yet.

    Args:
        networks: What is to be trained.
        folder: Folder of records and checkpoints.
        workers: Number of trainings that run at a time.
    """
    kind, present = Kind("networks", ""), read_trainings(folder)
    done = {record.key for record in present if record.result is not None}
    waiting = [network for network in networks if network.key not in done]
    trainings = [
        Training(kind, epochs_file(checkpoints(folder) / f"{network.key}.pt"), network.training["epochs"])
        for network in waiting
    ]
    alike = [
        record.result.seconds
        for record in present
        if record.result is not None and _recipe(record.network) in map(_recipe, waiting)
    ]
    return Forecast({kind: len(waiting)}, {kind: alike}, workers, trainings)


def _recipe(network: NetworkDescription) -> str:
    """What determines how long the training of a network takes, but for the genotype."""
    return network.model_dump_json(exclude={"genotype", "images_hash", "seed", "software"})
