"""Running one selector with one seed, without a folder of records."""

from pathlib import Path

from opselect.bench.experiment.file import Experiment, InvalidExperiment, entry_on
from opselect.bench.experiment.ingredients import check_ingredients
from opselect.bench.runs.records import Record
from opselect.bench.runs.supernets import cached_supernet, train
from opselect.bench.runs.trial import Trial, run_trial
from opselect.bench.runtime.parallel import use_single_thread
from opselect.spaces.files import check_writable


def select_once(experiment: Experiment, name: str, seed: int, settings: list[str], supernets: Path) -> Record:
    """Run one selector with one seed, with the experiment's space, images, table and supernet.

    Args:
        experiment: Experiment with the space, the images, the table and the supernet trainings.
        name: Label in the experiment, name of one of its selectors, or name of any registered selector.
        seed: Seed of the trial.
        settings: Changes to the selector's settings, each as `KEY=VALUE`.
        supernets: Folder of trained supernets.

    Raises:
        InvalidExperiment: The selector or a setting is unknown or out of range.
        NotWritten: The supernet that it needs cannot be stored.
    """
    entry = next(
        (entry for entry in experiment.selectors if entry.label == name),
        next((entry for entry in experiment.selectors if entry.name == name), None),
    )
    content = {"name": entry.name} | entry.settings.model_dump(exclude_unset=True) if entry else {"name": name}
    if entry is not None and entry.supernet is not None:
        content["supernets"] = [entry.supernet.label]
    content |= dict(parse_setting(text, "proxy=synflow") for text in settings)
    chosen = entry_on(experiment.supernets, content, "select")
    experiment = experiment.model_copy(update={"selectors": (chosen,)})
    check_ingredients(experiment)
    use_single_thread()
    trial, failure = Trial(experiment, chosen, seed, supernets), None
    if trial.supernet_job:
        check_writable(supernets)
        if cached_supernet(trial.supernet_job) is None:
            failure = train(trial.supernet_job)
    return run_trial(trial, prevented=failure)


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
