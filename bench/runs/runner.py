"""Running an experiment: supernets once per seed, then all trials in parallel; finished ones are recorded at once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from opselect.bench.evaluation.networks import NetworkDescription, TrainingRecord, describe_networks, train_all
from opselect.bench.experiment.file import Experiment
from opselect.bench.experiment.ingredients import check_ingredients
from opselect.bench.experiment.study import FILE_NAME as STUDY_FILE
from opselect.bench.experiment.study import Study
from opselect.bench.runs.records import FILE_NAME, Cost, Record, read_records
from opselect.bench.runs.supernets import SupernetJob, cached_supernet, train
from opselect.bench.runs.trial import Trial, run_trial
from opselect.bench.runtime.dask_cluster import UnusableCluster
from opselect.bench.runtime.forecast import Kind, epochs_file, read_epochs
from opselect.bench.runtime.parallel import Workers, in_parallel
from opselect.bench.storage.store import open_for_append
from opselect.spaces.files import atomic_write, check_writable

Progress: TypeAlias = Callable[[str, int, int], None]
"""`(kind of work, number of finished items, number of all items)`, called before the first and after every item."""

Finished: TypeAlias = Callable[[Kind, float | None], None]
"""`(kind of step, seconds that it has taken)`, None where it failed; called before the progress."""

SUPERNETS_FOLDER = "supernets"
"""Name of the folder of trained supernets inside that of the records."""


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Attributes:
        records: Records of all trials of the experiment, in its order.
        resumed: Number of trials that were finished by earlier runs.
        networks: Records of the trainings of all selected networks; empty where the experiment trains none.
    """

    records: tuple[Record, ...]
    resumed: int
    networks: tuple[TrainingRecord, ...] = ()

    @property
    def failed(self) -> tuple[Record, ...]:
        """The records of failed trials."""
        return tuple(record for record in self.records if record.status == "failed")

    @property
    def failed_networks(self) -> tuple[TrainingRecord, ...]:
        """The records of failed trainings of selected networks."""
        return tuple(record for record in self.networks if record.result is None)


def trials_of(experiment: Experiment, supernets: Path) -> list[Trial]:
    """The trials of an experiment: every selector with each of its seeds.

    Args:
        experiment: The experiment.
        supernets: Folder of trained supernets.
    """
    return [Trial(experiment, entry, seed, supernets) for entry, seed in experiment.runs]


def trial_seconds(cost: Cost) -> float:
    """Seconds of a trial without the training of its supernet, which is a step of its own."""
    return sum(seconds for phase, seconds in cost.seconds.items() if phase != "supernet training")


def run(
    experiment: Experiment,
    folder: Path,
    workers: Workers,
    progress: Progress,
    finished: Finished = lambda kind, seconds: None,
) -> Summary:
    """Run the trials that have no result yet, failed ones included.

    The experiment file is copied into the folder. Records of trials that now have another label get that label. Where
    the experiment requests it, the selected networks are trained afterwards, each distinct one once with every seed.

    Args:
        experiment: Experiment to run.
        folder: Folder of records and trained supernets; created where it does not exist.
        workers: Processes of this machine, or a cluster.
        progress: Called after every finished supernet, trial and network.
        finished: Called with the kind and the seconds of each of these.

    Raises:
        InvalidExperiment, MissingData, InvalidImages, InvalidTable, NotTrainable: The experiment cannot be run; nothing
            has been started.
        InvalidRecords: The folder's records cannot be read, or another run is writing them.
        NotWritten: The disk is full, or the folder cannot be written; finished results remain.
        UnusableCluster: The cluster cannot be reached or is lost, or lacks something that this machine has.
    """
    check(experiment)
    path = folder / FILE_NAME
    trials = {trial.description.key: trial for trial in trials_of(experiment, folder.absolute() / SUPERNETS_FOLDER)}

    def accept(record: Record) -> None:
        if record.key not in trials:
            raise UnusableCluster(
                f"{record.label}, seed {record.trial.seed}: a worker has other images, another table, or other "
                "code than this machine; give it the same OPSELECT_DATA, imported tables and installed packages"
            )
        finished(Kind("trials", record.label), trial_seconds(record.cost) if record.cost else None)

    with open_for_append(path) as store:
        present = read_records(path)
        done = {record.key: record for record in present if record.status == "done" and record.key in trials}
        resumed = len(done)
        newest = {(record.label, record.trial.seed): record.key for record in present}
        with atomic_write(folder / "experiment.toml") as temporary:
            temporary.write_bytes(experiment.text.encode())
        for key, record in done.items():
            names = {"label": trials[key].entry.label, "experiment": experiment.name}
            is_named = (record.label, record.experiment) == (names["label"], names["experiment"])
            # Of several records for one label and seed, the last one in the file counts, as after a change of the code
            # that was taken back.
            if not is_named or newest[record.label, record.trial.seed] != key:
                done[key] = record.model_copy(update=names)
                store.append(done[key])
        waiting = [trial for key, trial in trials.items() if key not in done]
        failures = train_supernets(waiting, workers, progress, finished)
        # Longer trials first, so that the last ones to finish are short and no worker idles for long.
        waiting.sort(key=_effort, reverse=True)
        jobs = [(trial, failures.get(trial.supernet_job) if trial.supernet_job else None) for trial in waiting]
        new = store.complete(
            in_parallel(_run_trial, jobs, workers, _failed_record),
            resumed,
            lambda count: progress("trials", count, len(trials)),
            accept,
        )
    done |= {record.key: record for record in new}
    records = tuple(done[key] for key in trials)
    selected = [record.result.architecture for record in records if record.result is not None]
    networks = _networks(experiment, selected)
    if not networks:
        return Summary(records, resumed)
    trained = train_all(networks, folder, workers, progress, lambda seconds: finished(Kind("networks", ""), seconds))
    return Summary(records, resumed, tuple(trained))


def run_study(
    study: Study,
    folder: Path,
    workers: Workers,
    progress: Progress,
    finished: Finished = lambda kind, seconds: None,
) -> dict[str, Summary]:
    """Run every experiment of a study in its folder, one after the other; all are checked before the first begins.

    Args:
        study: Study to run.
        folder: Folder of the study, which is also that of its experiment where there is only one.
        workers: Processes of this machine, or a cluster.
        progress: Called after every finished supernet, trial and network; with the name of the experiment before the
            kind of work, where there are several.
        finished: Called with the kind, named in the same way, and the seconds of each of these.

    Returns:
        Outcomes by name of the experiment in the study.

    Raises:
        InvalidExperiment, MissingData, InvalidImages, InvalidTable, NotTrainable: An experiment cannot be run; nothing
            has been started.
        InvalidRecords: A folder's records cannot be read, or another run is writing them.
        NotWritten: The disk is full, or a folder cannot be written; finished results remain.
        UnusableCluster: The cluster cannot be reached or is lost, or lacks something that this machine has.
    """
    for experiment in study.experiments.values():
        check(experiment)
    for name in study.experiments:
        check_writable(folder / name)
    if list(study.experiments) != [""]:
        with atomic_write(folder / STUDY_FILE) as temporary:
            temporary.write_bytes(study.text.encode())
    return {
        name: run(experiment, folder / name, workers, *with_name(name, progress, finished))
        for name, experiment in study.experiments.items()
    }


def with_name(name: str, progress: Progress, finished: Finished) -> tuple[Progress, Finished]:
    """The same callbacks, which receive the name of an experiment in a study before the kind of work.

    Args:
        name: The name; empty where there is only one experiment.
        progress: Called after every step.
        finished: Called with the kind and the seconds of every step.
    """
    if not name:
        return progress, finished
    return (
        lambda what, done, total: progress(f"{name} {what}", done, total),
        lambda kind, seconds: finished(Kind(f"{name} {kind.what}", kind.label), seconds),
    )


def check(experiment: Experiment) -> None:
    """Check everything that an experiment needs, the training of selected networks included.

    Raises:
        InvalidExperiment, MissingData, InvalidImages, InvalidTable, NotTrainable: Something is absent or does not fit.
    """
    check_ingredients(experiment)
    _networks(experiment, [])


def _networks(experiment: Experiment, architectures: Sequence[str]) -> list[NetworkDescription]:
    """Descriptions of the selected networks that are to be trained; none where the experiment trains none."""
    if experiment.training is None:
        return []
    return describe_networks(
        experiment.space,
        architectures,
        experiment.images,
        experiment.training_images,
        experiment.training,
        experiment.device,
    )


def _effort(trial: Trial) -> tuple[bool, bool]:
    needs = trial.entry.selector.needs
    return needs.trained, needs.supernet


def _run_trial(job: tuple[Trial, str | None]) -> Record:
    return run_trial(*job)


def _failed_record(job: tuple[Trial, str | None], reason: str) -> Record:
    return run_trial(job[0], reason)


def train_supernets(
    trials: list[Trial], workers: Workers, progress: Progress, finished: Finished
) -> dict[SupernetJob, str]:
    """Train the supernets that trials need and that are not cached.

    Args:
        trials: The trials.
        workers: Processes of this machine, or a cluster.
        progress: Called before the first and after every training.
        finished: Called with the kind and the seconds of every training.

    Returns:
        The reasons of those that failed.
    """
    jobs = {trial.supernet_job for trial in trials if trial.supernet_job}
    missing = [
        job
        for job in sorted(jobs, key=lambda job: (not job.supernet.training.has_learnt_alpha, job.seed))
        if cached_supernet(job) is None
    ]
    if not missing:
        return {}
    check_writable(missing[0].folder)
    progress("supernets", 0, len(missing))
    failures = {}
    outcomes = in_parallel(_train, missing, workers, _failed_training)
    for count, (job, reason, seconds) in enumerate(outcomes, start=1):
        finished(Kind("supernets", job.supernet.name), None if reason else seconds)
        progress("supernets", count, len(missing))
        if reason is not None:
            failures[job] = reason
    return failures


def _train(job: SupernetJob) -> tuple[SupernetJob, str | None, float]:
    """Train a supernet; the job, the reason of a failure, and the seconds of the training over all its processes."""
    before = read_epochs(epochs_file(job.path))
    started = time.perf_counter()
    reason = train(job)
    return job, reason, time.perf_counter() - started + (before.seconds if before else 0.0)


def _failed_training(job: SupernetJob, reason: str) -> tuple[SupernetJob, str | None, float]:
    return job, f"supernet training failed: {reason}", 0.0
