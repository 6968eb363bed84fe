"""The examples in docstrings run, and the public names are what the package says they are."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import opselect

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    "opselect." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("bench", "selectors", "spaces")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", ["opselect", *MODULES])
def test_the_examples_of_a_module_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


def test_every_public_name_has_an_example() -> None:
    errors = {name for name in opselect.__all__ if isinstance(getattr(opselect, name), type)}
    errors = {name for name in errors if issubclass(getattr(opselect, name), Exception)}
    assert "UserError" in errors
    assert all(f"`{name}`" in (opselect.__doc__ or "") for name in errors)
    assert all(issubclass(getattr(opselect, name), opselect.UserError) for name in errors)
    functions = [getattr(opselect.plot, name) for name in opselect.plot.__all__]
    others = [getattr(opselect, name) for name in set(opselect.__all__) - errors - {"__version__", "plot"}]
    without = [thing.__name__ for thing in (*functions, *others) if ">>> " not in (thing.__doc__ or "")]
    assert not without


def test_every_public_name_is_there_and_type_checkers_see_it() -> None:
    tree = ast.parse((ROOT / "opselect" / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen | {"__version__"} == set(opselect.__all__) == set(dir(opselect))
    for name in opselect.__all__:
        assert getattr(opselect, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        opselect.nothing  # noqa: B018
