"""The experiments that the package ships, found without reading them: nothing heavy is imported for a wrong name."""

from pathlib import Path

from opselect.spaces.files import is_file
from opselect.spaces.registry import UnknownName, did_you_mean

SHIPPED = Path(__file__).with_name("packaged")
"""Folder of the experiment files."""


def shipped_names() -> tuple[str, ...]:
    """Names of the experiments that the package ships."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def experiment_path(name: str) -> Path:
    """Path of an experiment file, or of a shipped experiment by its name.

    Args:
        name: Path of the file, or name of the experiment.

    Raises:
        UnknownName: There is no such file and no such name.

    Example:
        >>> experiment_path("digits201").name
        'digits201.toml'
    """
    names = shipped_names()
    path = SHIPPED / f"{name}.toml" if name in names else Path(name)
    if not is_file(path):
        raise UnknownName(f"{name}: no such file, and no experiment of that name is shipped{did_you_mean(name, names)}")
    return path
