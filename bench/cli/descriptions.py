"""What is registered, in words: `opselect list` and `opselect show`.

A list takes the first line of every docstring from the source, since importing all that is registered would take
seconds, most of them for torch.
"""

import ast
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from opselect.bench.experiment.shipped import SHIPPED, shipped_names
from opselect.spaces import registry
from opselect.spaces.darts.genotypes import format_genotype, library
from opselect.spaces.files import imported_table, imported_tables

if TYPE_CHECKING:
    from rich.console import Console

LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
"""Limits of a setting as pydantic keeps them, and their signs."""


@dataclass(frozen=True)
class Setting:
    """A setting of a selector or of a supernet training.

    Attributes:
        name: Its name in an experiment file.
        type: Its type, with limits, or its possible values.
        default: Its default as text; None where it has none.
        description: Its description; empty where it has none.
    """

    name: str
    type: str
    default: str | None
    description: str


@dataclass(frozen=True)
class Description:
    """A registered component, a packaged experiment or a published genotype.

    Attributes:
        kind: Its kind, as `opselect list` names it.
        name: Its name.
        text: Its description.
        settings: Its settings.
        source: Where it is defined.
        distribution: Installed package that declares it, with its version; empty where that is not known.
    """

    kind: str
    name: str
    text: str
    settings: tuple[Setting, ...]
    source: str
    distribution: str


def first_lines(kind: str) -> dict[str, str]:
    """The first line of the description of everything of a kind, by name.

    Args:
        kind: One of `registry.KINDS`, `experiments` or `genotypes`.
    """
    if kind == "experiments":
        return {name: _first_sentence(_comment_of(name)) for name in shipped_names()}
    if kind == "genotypes":
        return {name: f"{found.space}; {found.source}" for name, found in library().items()}
    lines = {name: _first_line(kind, name) for name in registry.names(kind)}
    if kind == "tables":
        lines |= {name: f"Imported to {imported_table(name)}." for name in imported_tables() - lines.keys()}
    return dict(sorted(lines.items()))


def _first_line(kind: str, name: str) -> str:
    try:
        origin = registry.origin(kind, name)
    except registry.UnknownName as error:  # two packages claim it
        return str(error)
    if kind == "spaces":
        return _space_line(name)
    # A combination is a value: what it is made of stands at the beginning of its module.
    text = _docstring(origin.module, "" if kind == "combinations" else registry.target(kind, name))
    return text.strip().partition("\n")[0]


def _space_line(name: str) -> str:
    """What a space is, and how large: spaces load without torch, and several are of one class."""
    try:
        space = registry.load("spaces", name)
        sizes = sorted({len(edge.operations) for edge in space.edges})
        what = (inspect.getdoc(type(space)) or "").partition("\n")[0]
    except Exception as error:  # a plug-in can raise anything
        return f"cannot be loaded: {error}"
    return f"{what} {len(space.edges)} edges, {' or '.join(map(str, sizes))} operations each."


@cache
def _docstring(module: str, name: str) -> str:
    """The docstring of an object of a module, from its source; of a value, that of the function it is made with.

    Where the value is made of nothing that this module defines, it is the docstring of the module.
    """
    try:
        spec = find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_bytes())
    except (ImportError, OSError, ValueError, SyntaxError):
        return ""
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if name in defined:
        return ast.get_docstring(defined[name]) or ""
    made = next((node.value for node in tree.body if isinstance(node, ast.Assign) and _is_name(node, name)), None)
    for node in ast.walk(made) if made is not None else ():
        if isinstance(node, ast.Name) and node.id in defined:
            return ast.get_docstring(defined[node.id]) or ""
    return ast.get_docstring(tree) or ""


def _is_name(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _comment_of(experiment: str) -> str:
    """The comment at the beginning of a packaged experiment."""
    lines = (SHIPPED / f"{experiment}.toml").read_text(encoding="utf-8").splitlines()
    beginning = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.removeprefix("#").strip() for line in lines[:beginning])


def _first_sentence(text: str) -> str:
    head, dot, _ = text.partition(". ")
    return f"{head}." if dot else text


def describe(kind: str, name: str) -> Description:
    """Describe one thing completely.

    Args:
        kind: One of `registry.KINDS`, `experiments` or `genotypes`.
        name: Its name.

    Raises:
        UnknownName: Two packages claim the name.
    """
    if kind == "experiments":
        path = SHIPPED / f"{name}.toml"
        return Description(kind, name, _comment_of(name), (), str(path), "opselect")
    if kind == "genotypes":
        found = library()[name]
        size = "" if found.parameters is None else f"\n\n{found.parameters:g} million parameters, by its code."
        text = f"Found in {found.space}; {found.source}.{size}\n\n{format_genotype(found.genotype)}"
        return Description(kind, name, text, (), "opselect.spaces.darts.genotypes", "opselect")
    if kind == "tables" and name not in registry.names(kind):
        return Description(kind, name, "An imported table.", (), str(imported_table(name)), "")
    origin = registry.origin(kind, name)
    target = registry.target(kind, name)
    text = _docstring(origin.module, "" if kind == "combinations" else target)
    if kind == "spaces":
        text = f"{_space_line(name)}\n{text.partition(chr(10))[2]}"
    fields = getattr(registry.load(kind, name), "model_fields", {}) if kind in ("selectors", "supernets") else {}
    return Description(
        kind=kind,
        name=name,
        text=text,
        settings=tuple(_setting(field_name, field) for field_name, field in fields.items()),
        source=f"{origin.module}:{target}",
        distribution=" ".join(part for part in (origin.distribution, origin.version) if part),
    )


def _setting(name: str, field: Any) -> Setting:
    limits = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in LIMITS.items()
        if getattr(limit, key, None) is not None
    ]
    return Setting(
        name=name,
        type=" ".join([_type_text(field.annotation), *limits]),
        default=None if field.is_required() else _value_text(field.default),
        description=field.description or "",
    )


def _type_text(annotation: Any) -> str:
    """A type as users write values of it: `int or null`, or the possible values."""
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    if arguments := [argument for argument in get_args(annotation) if isinstance(argument, type)]:
        return " or ".join("null" if argument is type(None) else argument.__name__ for argument in arguments)
    return getattr(annotation, "__name__", str(annotation))


def _value_text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def print_lines(lines: Mapping[str, str], console: "Console") -> None:
    """Print names and their first lines; where the console is no terminal, one line each, for programs to read."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    longest = max(map(len, lines), default=0)
    if not console.is_terminal:
        for name, line in lines.items():
            print(f"  {name:{longest}}  {line}".rstrip())
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for name, line in lines.items():
        grid.add_row(Text(name), Text(line))
    console.print(Padding(grid, (0, 0, 0, 2)))


def print_description(description: Description, console: "Console") -> None:
    """Print a description; where the console is no terminal, the lines of its text stay as they are."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    singular = registry.SINGULAR.get(description.kind, description.kind.removesuffix("s"))
    console.print(Text(f"{singular} {description.name}", "bold"))
    console.print(Text(description.text), soft_wrap=not console.is_terminal)
    if description.settings:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        for setting in description.settings:
            default = "required" if setting.default is None else setting.default
            grid.add_row(Text(setting.name), Text(default), Text(setting.type, "dim"), Text(setting.description))
        console.print("\nsettings, with their defaults:")
        console.print(Padding(grid, (0, 0, 0, 2)))
    origin = f", {description.distribution}" if description.distribution else ""
    console.print(Text(f"\nfrom {description.source}{origin}", "dim"), soft_wrap=not console.is_terminal)
