"""Running one selector with one seed, without a folder of records."""

from collections.abc import Mapping
from pathlib import Path

from opselect.bench.experiment.file import Experiment, InvalidExperiment, entry_on
from opselect.bench.experiment.ingredients import check_ingredients
from opselect.bench.runs.records import Record
from opselect.bench.runs.runner import Finished, Progress, train_supernets, trial_seconds
from opselect.bench.runs.trial import Trial, run_trial
from opselect.bench.runtime.forecast import Kind
from opselect.bench.runtime.parallel import use_single_thread
from opselect.spaces.files import check_writable


def trial_named(experiment: Experiment, name: str, seed: int, settings: Mapping[str, object], supernets: Path) -> Trial:
    """The trial of one selector with one seed, checked, with the space, images, table and supernet of an experiment.

    Args:
        experiment: Experiment with the space, the images, the table and the supernet trainings.
        name: Label in the experiment, name of one of its selectors, or name of any registered selector.
        seed: Seed of the trial.
        settings: Changes to the selector's settings, by name.
        supernets: Folder of trained supernets.

    Raises:
        InvalidExperiment: The selector or a setting is unknown or out of range.
    """
    entry = next(
        (entry for entry in experiment.selectors if entry.label == name),
        next((entry for entry in experiment.selectors if entry.name == name), None),
    )
    content = {"name": entry.name} | entry.settings.model_dump(exclude_unset=True) if entry else {"name": name}
    if entry is not None and entry.supernet is not None:
        content["supernets"] = [entry.supernet.label]
    content |= dict(settings)
    chosen = entry_on(experiment.supernets, content, "select")
    experiment = experiment.model_copy(update={"selectors": (chosen,)})
    check_ingredients(experiment)
    return Trial(experiment, chosen, seed, supernets)


def run_alone(
    trial: Trial,
    progress: Progress = lambda what, done, total: None,
    finished: Finished = lambda kind, seconds: None,
) -> Record:
    """Train the supernet of a trial, unless it is there, and run the trial.

    Args:
        trial: The trial.
        progress: Called before and after the supernet is trained and the trial is run.
        finished: Called with the kind and the seconds of both.

    Raises:
        NotWritten: The supernet cannot be stored.
    """
    use_single_thread()
    prevented = None
    if trial.supernet_job:
        check_writable(trial.supernets)
        prevented = train_supernets([trial], 1, progress, finished).get(trial.supernet_job)
    progress("trials", 0, 1)
    record = run_trial(trial, prevented)
    finished(Kind("trials", record.label), trial_seconds(record.cost) if record.cost else None)
    progress("trials", 1, 1)
    return record


def parse_setting(text: str, example: str) -> tuple[str, object]:
    """Split a setting of the command line into its name and its value, a number where it looks like one.

    Args:
        text: The setting as `KEY=VALUE`.
        example: A text of this form, for the message.

    Raises:
        InvalidExperiment: The text does not have this form.

    Example:
        >>> parse_setting("batch_size=64", "proxy=synflow")
        ('batch_size', 64)
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
