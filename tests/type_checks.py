"""Types are checked at run time: beartype checks every call in the package, jaxtyping the axes that arrays share.

jaxtyping has an import hook of its own. It compiles each check twice and opens a scope for the names of axes at every
call of every function, which nearly doubles the time of tests/selectors/test_pruning.py. A scope finds something only
where a signature has arrays, so here only those functions have one. `JAXTYPING_DISABLE=1` in the environment leaves all
functions as they are, for what measures speed.
"""

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, get_type_hints

from beartype import beartype
from jaxtyping import config, jaxtyped

_ARRAY = re.compile(r"\[(Tensor|ndarray), '")


def check(thing: Any) -> Any:
    """A function with checks of its arguments and its result, or a class, with checks of what makes a dataclass."""
    if isinstance(thing, type):
        if is_dataclass(thing):
            thing.__init__ = check(thing.__init__)  # type: ignore[method-assign]
        return thing
    if not isinstance(thing, FunctionType):
        return beartype(thing)
    written = thing.__annotations__
    thing.__annotations__ = {name: _known(each, thing.__globals__) for name, each in written.items()}
    has_arrays = _ARRAY.search(str(thing.__annotations__))
    checked = beartype(thing)
    thing.__annotations__ = checked.__annotations__ = written
    return jaxtyped(checked, typechecker=None) if has_arrays else checked


def _known(annotation: Any, names: dict[str, Any]) -> Any:
    try:
        found = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), names, include_extras=True)
        return found["it"]
    except NameError:  # a class that is being made, or one that is imported for mypy only
        return Any


class _Decorate(ast.NodeTransformer):
    """Puts `@__check__` below the other decorators of a function and above those of a class, which make dataclasses."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.decorator_list.append(ast.copy_location(ast.Name("__check__", ast.Load()), node))
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.decorator_list.insert(0, ast.copy_location(ast.Name("__check__", ast.Load()), node))
        return node


class _CheckedModule(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        # Not from the cache, which holds the module without checks.
        tree = _Decorate().visit(ast.parse(self.get_data(self.path)))
        return compile(tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__check__"] = check
        super().exec_module(module)


class _CheckingFinder(PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = super().find_spec(fullname, path, target) if fullname.startswith("opselect.") else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _CheckedModule(fullname, spec.loader.path)
        return spec


if not config.jaxtyping_disable:
    assert not any(name.startswith("opselect.") for name in sys.modules), "the package is imported already"
    sys.meta_path.insert(0, _CheckingFinder)
