"""What the shell completes: names of experiments and of what is registered; nothing heavy is imported for it."""

from pathlib import Path


def experiments(incomplete: str) -> list[str]:
    """Packaged experiments, and the TOML files and folders in the folder that is being typed."""
    from opselect.bench.experiment.shipped import shipped_names

    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    found = [f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.glob("*")) if _is_experiment(path)]
    return [name for name in (*shipped_names(), *found) if name.startswith(incomplete)]


def _is_experiment(path: Path) -> bool:
    return path.suffix == ".toml" or path.is_dir()


def kinds(incomplete: str) -> list[str]:
    """Kinds of what is registered."""
    from opselect.spaces.registry import KINDS

    return [kind for kind in (*KINDS, *LISTED_APART) if kind.startswith(incomplete)]


LISTED_APART = ("experiments", "genotypes")
"""Kinds that `opselect list` knows and the registry does not."""


def registered(incomplete: str) -> list[str]:
    """Every registered name."""
    from opselect.spaces.registry import KINDS, names

    return sorted({name for kind in KINDS for name in names(kind) if name.startswith(incomplete)})


def selectors(incomplete: str) -> list[str]:
    """Registered selectors."""
    return _of("selectors", incomplete)


def spaces(incomplete: str) -> list[str]:
    """Registered spaces."""
    return _of("spaces", incomplete)


def proxies(incomplete: str) -> list[str]:
    """Registered proxies."""
    return _of("proxies", incomplete)


def images(incomplete: str) -> list[str]:
    """Registered images."""
    return _of("images", incomplete)


def tables(incomplete: str) -> list[str]:
    """Registered and imported tables."""
    from opselect.spaces.files import imported_tables

    imported = [name for name in sorted(imported_tables()) if name.startswith(incomplete)]
    return list(dict.fromkeys([*_of("tables", incomplete), *imported]))


def genotypes(incomplete: str) -> list[str]:
    """Published genotypes."""
    from opselect.spaces.darts.genotypes import library

    return [name for name in library() if name.startswith(incomplete)]


def _of(kind: str, incomplete: str) -> list[str]:
    from opselect.spaces.registry import names

    return [name for name in names(kind) if name.startswith(incomplete)]
