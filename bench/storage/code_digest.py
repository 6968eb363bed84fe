"""A digest of the code behind a number. It is part of the keys of caches, since numbers may change with the code."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_OURS = ("opselect.spaces", "opselect.selectors")


@cache
def code_digest(*names: str) -> str:
    """A digest of the code of modules and of all that they import, without comments, docstrings and layout.

    Imports are followed inside `opselect.spaces` and `opselect.selectors`, and inside the package of each given module.
    The digest is made from syntax trees, which differ between versions of Python.

    Args:
        names: Names of modules, or `module:function` for a single function. For a module without source, a compiled one
            for example, the digest covers the bytes of its file.

    Returns:
        16 hexadecimal digits.
    """
    packages = (*_OURS, *(name.partition(".")[0] for name in names if not name.startswith("opselect.")))
    waiting, digests = list(names), dict[str, str]()
    while waiting:
        name = waiting.pop()
        module, _, function = name.partition(":")
        if name in digests or (spec := _spec(module)) is None or not spec.has_location or spec.origin is None:
            continue
        status = Path(spec.origin).stat()
        digests[name], imports = _read(spec.origin, function, status.st_mtime_ns, status.st_size)
        own = tuple(f"{package}." for package in packages)
        waiting += [imported for imported in imports if imported.startswith(own)]
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()[:16]


# Several digests cover the same modules, and a module takes milliseconds.
@cache
def _read(path: str, function: str, _changed: int, _size: int) -> tuple[str, tuple[str, ...]]:
    """Digest of a file, or of a function in it, and the modules that the file imports.

    Args:
        path: Path of the file.
        function: Name of a function, whose imports do not count; empty for the whole file.
        _changed: Time of the last change of the file, after which it is read again.
        _size: Size of the file, for the same reason.
    """
    content = Path(path).read_bytes()
    if not path.endswith(".py"):
        return hashlib.sha256(content).hexdigest(), ()
    tree = ast.parse(content)
    if function:
        return _digest(_find_function(tree, function)), ()
    imports = tuple(_imports(tree))
    return _digest(tree), imports


def _find_function(tree: ast.Module, function: str) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # an object inside a module, or a module that was created in memory
        return None


def _digest(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports(tree: ast.Module) -> Iterator[str]:
    """Absolute names of the modules that a module imports, and of imported objects, which `_spec` ignores."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module
            # Only inside packages, since looking up a name inside a plain module would import that module.
            if (spec := _spec(node.module)) is not None and spec.submodule_search_locations is not None:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
