"""Write a new plug-in package, which installs, runs and passes its tests as it is.

The files in `template/` are Jinja templates. `examples/opselect_template` is what they give with every part, and a test
holds that it is.
"""

import ast
import importlib.util
import keyword
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from opselect.spaces.errors import UserError
from opselect.spaces.registry import KINDS, SINGULAR, did_you_mean, names

PARTS = ("proxy", "score", "selector", "space", "table")
"""Every part that a plug-in can begin with; a part is one module of the package."""

USUAL_PARTS = ("proxy", "score", "selector")
"""Parts that need no search space of their own."""

TEMPLATE = Path(__file__).with_name("template")
TASK_MODULE = Path(__file__).parents[2] / "selectors" / "task.py"


class UnusablePlugIn(UserError, ValueError):
    """A plug-in package cannot be written under this name, with these parts, or in this place."""


def write_plug_in(package: str, parts: Collection[str] = USUAL_PARTS, parent: Path = Path()) -> Path:
    """Write the folder of a new plug-in package; nothing that exists is changed.

    Args:
        package: Name of the Python package. With dashes for underscores, it is also the name of the distribution and
            the registered name of every part.
        parts: Which of `PARTS` the package has.
        parent: Folder in which the new folder is made.

    Returns:
        The new folder.

    Raises:
        UnusablePlugIn: The name cannot be that of a package, a part is unknown or needs another one, or the folder
            exists.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as parent:
        ...     folder = write_plug_in("my_proxy", ["proxy"], Path(parent))
        ...     sorted(path.name for path in folder.iterdir())
        ['README.md', 'experiment.toml', 'my_proxy', 'pyproject.toml', 'tests']
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = parent / package
    _check(package, parts, folder)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    chosen = [part for part in PARTS if part in parts]
    values = {
        "package": package,
        "name": package.replace("_", "-"),
        "title": package.title().replace("_", ""),
        "parts": chosen,
        "listing": ", ".join(chosen),
        "search_state": list(_attributes("SearchState")),
        "task": list(_attributes("Task")),
    }
    left_out = {f"{part}.py" for part in PARTS if part not in chosen}
    if "table" not in chosen:
        left_out.add("accuracies.csv")
    for source in sorted(TEMPLATE.rglob("*.jinja")):
        place = source.parent.relative_to(TEMPLATE)
        if source.stem not in left_out:
            target = folder / (package if place.name == "package" else place) / source.stem
            target.parent.mkdir(parents=True, exist_ok=True)
            text = environment.get_template(source.relative_to(TEMPLATE).as_posix()).render(values)
            target.write_text(text, encoding="utf-8")
    return folder


def _check(package: str, parts: Collection[str], folder: Path) -> None:
    """Refuse what would give a package that cannot be installed or imported."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", package) or keyword.iskeyword(package):
        raise UnusablePlugIn(
            f"{package!r} is no name for a package: expected lower-case letters, digits and single underscores, "
            "beginning with a letter, and no keyword of Python; for example my_selector"
        )
    for part in parts:
        if part not in PARTS:
            raise UnusablePlugIn(f"no part of a plug-in named {part!r}{did_you_mean(part, PARTS)}")
    if not parts:
        raise UnusablePlugIn(f"a plug-in needs at least one part; known are {', '.join(PARTS)}")
    if "table" in parts and "space" not in parts:
        raise UnusablePlugIn("the part 'table' has the accuracies of the part 'space': add 'space' to the parts")
    if folder.exists():
        raise UnusablePlugIn(f"{folder} exists: choose another name, or another place with --output")
    if importlib.util.find_spec(package) is not None:
        raise UnusablePlugIn(f"a module named {package!r} is installed already: choose another name for the package")
    name = package.replace("_", "-")
    for kind in KINDS:
        if name in names(kind):
            raise UnusablePlugIn(f"a {SINGULAR[kind]} named {name!r} is registered already: choose another name")


def _attributes(name: str) -> Iterator[tuple[str, str]]:
    """Name and description of each attribute in the docstring of a class of `selectors/task.py`.

    The file is parsed and not imported, because importing it loads torch, which takes seconds.
    """
    classes = {
        node.name: node for node in ast.parse(TASK_MODULE.read_text("utf-8")).body if isinstance(node, ast.ClassDef)
    }
    section = (ast.get_docstring(classes[name]) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    for entry in re.split(r"\n    (?! )", f"\n{section}")[1:]:
        attribute, _, text = entry.partition(": ")
        yield attribute, " ".join(text.split()).replace("|", r"\|")
