"""Studies: one experiment file over several spaces or images, which is one experiment for each pair of them."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from opselect.bench.experiment.file import Experiment, InvalidExperiment, parse, shown, text_of
from opselect.spaces.files import read_toml

FILE_NAME = "study.toml"
MOST_EXPERIMENTS = 1000


@dataclass(frozen=True)
class Study:
    """Experiments that belong together.

    Attributes:
        name: names the folder of the results.
        title: heads the overview.
        experiments: by the name of their folder inside the study's; "", the study's own, where there is only one.
        text: the file as it was written.
    """

    name: str
    title: str
    experiments: dict[str, Experiment]
    text: str

    @property
    def only(self) -> Experiment:
        """The experiment of a study that has only one.

        Raises:
            InvalidExperiment: it has several.
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
        text: TOML.
        where: what messages call the text, usually its path.

    Raises:
        InvalidExperiment: one sentence about the first problem.
    """
    try:
        content = read_toml(text)
    except ValueError:
        content = {}  # the message about it is that of a single experiment
    if not any(isinstance(content.get(key), list) for key in ("space", "images")):
        experiment = parse(text, where)
        return Study(experiment.name, experiment.title, {"": experiment}, text)
    spaces, images = (_listed(content, key, where) for key in ("space", "images"))
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
        member = parse(own_text, f"{where}, {folder}")
        if folder in experiments:
            raise InvalidExperiment(f"{where}: two images are called {Path(data).stem!r}; rename one of the files")
        experiments[folder] = member
    return Study(str(name), str(title), experiments, text)


def read_study(path: Path) -> Study:
    """Read an experiment file of one or several experiments.

    Raises:
        InvalidExperiment: it cannot be read or run.
    """
    return parse_study(text_of(path), str(path))


def _listed(content: dict[str, Any], key: str, where: str) -> list[str]:
    value = content.get(key)
    values = value if isinstance(value, list) else [value]
    names = [each for each in values if isinstance(each, str)]
    if not names or len(set(names)) < len(values):
        raise InvalidExperiment(f"{where}: {key} = {shown(value)}, expected a name, or a list of different names")
    return names
