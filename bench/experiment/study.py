"""Studies: one experiment file over several spaces or images, which is one experiment for each pair of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from opselect.bench.experiment.file import Experiment, InvalidExperiment, parse, shown, text_of
from opselect.bench.experiment.shipped import experiment_path
from opselect.spaces.files import read_toml
from opselect.spaces.registry import did_you_mean

FILE_NAME = "study.toml"
MOST_EXPERIMENTS = 1000


@dataclass(frozen=True)
class Study:
    """Experiments that belong together.

    Attributes:
        name: Name of the study and of the folder of its results.
        title: Title of the overview.
        experiments: Experiments by the name of their folder inside that of the study; a single one has the name "",
            which stands for the folder of the study.
        text: Text of the file.
    """

    name: str
    title: str
    experiments: dict[str, Experiment]
    text: str

    @property
    def only(self) -> Experiment:
        """The experiment of a study that has only one.

        Raises:
            InvalidExperiment: It has several.
        """
        if len(self.experiments) > 1:
            raise InvalidExperiment(
                f"{self.name}: {len(self.experiments)} experiments ({', '.join(self.experiments)}), expected one; "
                "give 'space' and 'images' one value each"
            )
        return next(iter(self.experiments.values()))


def parse_study(text: str, where: str) -> Study:
    """Read an experiment file in which `space` and `images` may be lists.

    Each pair becomes an experiment of its own, whose text is a complete file with that one space and those images.

    Args:
        text: The experiment file as TOML.
        where: Name of the text in messages, usually its path.

    Raises:
        InvalidExperiment: There is a problem; the message is one sentence about the first one.
    """
    try:
        content = read_toml(text)
    except ValueError:
        content = {}  # `parse` raises the message for it
    if not any(isinstance(content.get(key), list) for key in ("space", "images")):
        experiment = parse(text, where)
        return Study(experiment.name, experiment.title, {"": experiment}, text)
    spaces, images = (_names(content, key, where) for key in ("space", "images"))
    if len(spaces) * len(images) > MOST_EXPERIMENTS:
        raise InvalidExperiment(
            f"{where}: {len(spaces)} spaces with {len(images)} images each, expected at most {MOST_EXPERIMENTS} pairs"
        )
    name, title = content.get("name"), content.get("title") or content.get("name")
    experiments: dict[str, Experiment] = {}
    for space, data in itertools.product(spaces, images):
        folder = f"{space}-{Path(data).stem}"
        own = {"title": f"{title}: {space}, {data}", "space": space, "images": data}
        if isinstance(name, str):
            own["name"] = f"{name}-{folder}"
        try:
            own_text = tomli_w.dumps(content | own)
        except ValueError as error:  # a number of more digits than Python prints
            raise InvalidExperiment(f"{where}: {error}") from None
        experiment = parse(own_text, f"{where}, {folder}")
        if folder in experiments:
            raise InvalidExperiment(f"{where}: two images are called {Path(data).stem!r}; rename one of the files")
        experiments[folder] = experiment
    return Study(str(name), str(title), experiments, text)


def read_study(path: Path) -> Study:
    """Read an experiment file of one or several experiments.

    Raises:
        InvalidExperiment: The file cannot be read, or not be run.
    """
    return parse_study(text_of(path), str(path))


def find_study(name: str) -> Study:
    """Read an experiment file, or a shipped experiment by its name.

    Args:
        name: Path of the file, or name of the shipped experiment.

    Raises:
        UnknownName: There is no such file and no such name.
        InvalidExperiment: The file cannot be run.

    Example:
        >>> find_study("digits201").only.space
        'digits201'
    """
    return read_study(experiment_path(name))


def narrowed_study(study: Study, labels: Sequence[str], seeds: Sequence[int]) -> Study:
    """The study with some of its selectors and seeds only; its text, and so its description, stays the whole one.

    Args:
        study: The study.
        labels: Labels of selectors; without any, all of them.
        seeds: Seeds of trials; without any, all of them.

    Raises:
        InvalidExperiment: An experiment has no such label or seed.
    """
    if not labels and not seeds:
        return study
    experiments = {
        name: narrowed(experiment, labels, seeds, name or study.name) for name, experiment in study.experiments.items()
    }
    return replace(study, experiments=experiments)


def narrowed(experiment: Experiment, labels: Sequence[str], seeds: Sequence[int], where: str) -> Experiment:
    """The experiment with some of its selectors and seeds only.

    Args:
        experiment: The experiment.
        labels: Labels of selectors; without any, all of them.
        seeds: Seeds of trials; without any, all of them.
        where: Beginning of messages.

    Raises:
        InvalidExperiment: The experiment has no such label or seed, or no trial has both.
    """
    for label in labels:
        if label not in experiment.labels:
            raise InvalidExperiment(f"{where}: has no selector {label!r}{did_you_mean(label, experiment.labels)}")
    known = tuple(dict.fromkeys(seed for _, seed in experiment.runs))
    for seed in seeds:
        if seed not in known:
            raise InvalidExperiment(f"{where}: has no seed {seed}; expected one of {', '.join(map(str, known))}")
    selectors = tuple(
        entry.model_copy(update={"seeds": chosen})
        for entry in experiment.selectors
        if (not labels or entry.label in labels)
        and (chosen := tuple(seed for seed in entry.seeds or experiment.seeds if not seeds or seed in seeds))
    )
    if not selectors:
        raise InvalidExperiment(f"{where}: {', '.join(labels)} has no trial of seed {', '.join(map(str, seeds))}")
    return experiment.model_copy(update={"selectors": selectors})


def _names(content: dict[str, Any], key: str, where: str) -> list[str]:
    value = content.get(key)
    values = value if isinstance(value, list) else [value]
    names = [name for name in values if isinstance(name, str)]
    if not names or len(set(names)) < len(values):
        raise InvalidExperiment(f"{where}: {key} = {shown(value)}, expected a name, or a list of different names")
    return names
