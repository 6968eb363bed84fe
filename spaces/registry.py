"""Names and what they stand for: entry points, ours declared in pyproject.toml in the same way as a plug-in's."""

import difflib
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple, TypeVar

from opselect.spaces.errors import UserError

SINGULAR = {
    "spaces": "space",
    "images": "images",
    "tables": "table",
    "selectors": "selector",
    "supernets": "supernet training",
    "scores": "score",
    "proxies": "proxy",
    "combinations": "combination",
}
KINDS = tuple(SINGULAR)

MOST_LISTED = 5
"""How many known names a message lists."""

LONGEST_COMPARED = 100
"""How many characters of an unknown name are compared with known ones; comparing takes time by the square of them."""

EXPECTED_FAILURES = "expected_failures"
"""Attribute of a plug-in: by name of a check, the documented reason why the component fails it."""

Component = TypeVar("Component", bound=Callable[..., object])


class Origin(NamedTuple):
    """Where a registered component comes from.

    Attributes:
        module: Name of the module that the entry point names.
        distribution: Name of the installed package that declares it; None where that is not known.
        version: Version of that package; None where that is not known.
    """

    module: str
    distribution: str | None
    version: str | None


class UnknownName(UserError, LookupError):
    """A name that nothing is registered under; the message offers the nearest ones."""


def names(kind: str) -> tuple[str, ...]:
    """Every registered name of a kind, sorted.

    Args:
        kind: One of `KINDS`.

    Returns:
        The names of opselect itself and of all installed plug-ins; nothing is imported for them.

    Example:
        >>> "digits201" in names("spaces")
        True
    """
    return tuple(sorted({entry.name for entry in _declared(kind)}))


def load(kind: str, name: str) -> Any:
    """The object that is registered under a name; importing it happens here and no earlier.

    Args:
        kind: One of `KINDS`.
        name: Registered name.

    Returns:
        What the entry point stands for, for example a space, or the class of a selector.

    Raises:
        UnknownName: Nothing has this name, or two packages claim it.

    Example:
        >>> len(load("spaces", "digits201").edges)
        6
    """
    return _find(kind, name).load()


def origin(kind: str, name: str) -> Origin:
    """Where a registered component comes from; nothing is imported for it.

    Args:
        kind: One of `KINDS`.
        name: Registered name.

    Raises:
        UnknownName: Nothing has this name, or two packages claim it.

    Example:
        >>> origin("proxies", "snip")[:2]
        ('opselect.selectors.proxies.snip', 'opselect')
    """
    entry = _find(kind, name)
    distribution = entry.dist
    return Origin(
        entry.value.partition(":")[0], distribution and distribution.name, distribution and distribution.version
    )


def target(kind: str, name: str) -> str:
    """Name of a registered component inside its module; nothing is imported for it.

    Args:
        kind: One of `KINDS`.
        name: Registered name.

    Raises:
        UnknownName: Nothing has this name, or two packages claim it.

    Example:
        >>> target("selectors", "zero-cost-pt")
        'ZeroCostPT'
    """
    return str(_find(kind, name).value).partition(":")[2]


def _find(kind: str, name: str) -> Any:
    """The entry point of a name."""
    found = [entry for entry in _declared(kind) if entry.name == name]
    if not found:
        raise UnknownName(f"no {SINGULAR[kind]} named {name!r}{did_you_mean(name, names(kind))}")
    if len({entry.value for entry in found}) > 1:
        claims = sorted(f"{entry.dist.name if entry.dist else 'an unknown package'} ({entry.value})" for entry in found)
        raise UnknownName(f"the name {name!r} is claimed by {' and '.join(claims)}; uninstall one of them")
    return found[0]


def _declared(kind: str) -> tuple[Any, ...]:
    """The entry points of installed packages; where something has loaded the backport, of a class of its own."""
    return _read(entry_points, kind, tuple(sys.path))


@cache
def _read(entries: Callable[..., Iterable[Any]], kind: str, _places: tuple[str, ...]) -> tuple[Any, ...]:
    """Read once for each path that packages are looked for on: it takes milliseconds, as long as many a score."""
    return tuple(entries(group=f"opselect.{kind}"))


def did_you_mean(given: str, known: tuple[str, ...]) -> str:
    """`; did you mean 'x'? known are x, y, z`: the end of every message about an unknown name.

    Names are compared without regard to case, and "-" and "_" are alike. Of many names the nearest ones are listed.

    Args:
        given: The unknown name.
        known: All registered names.

    Example:
        >>> did_you_mean("NWOTT", ("nwot", "snip"))
        "; did you mean 'nwot'? known are nwot, snip"
    """
    folded = _folded(given[:LONGEST_COMPARED])
    likeness = {name: difflib.SequenceMatcher(None, folded, _folded(name)).ratio() for name in known}
    nearest = sorted(likeness, key=likeness.__getitem__, reverse=True)
    hint = f"; did you mean {nearest[0]!r}?" if nearest and likeness[nearest[0]] >= 0.5 else ";"
    if len(nearest) <= MOST_LISTED:
        return f"{hint} known are {', '.join(known) or 'none'}"
    return f"{hint} known are {', '.join(nearest[:MOST_LISTED])} and {len(nearest) - MOST_LISTED} more"


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def expected_failure(name: str, reason: str) -> Callable[[Component], Component]:
    """Declare on a function that it fails a check, and why; `opselect conformance` prints the reason.

    Args:
        name: Name of the check, as `opselect conformance` prints it.
        reason: One sentence.

    Returns:
        A decorator that adds the declaration to the function.
    """

    def declare(component: Component) -> Component:
        setattr(component, EXPECTED_FAILURES, {**getattr(component, EXPECTED_FAILURES, {}), name: reason})
        return component

    return declare
