"""Operation selection in differentiable neural architecture search, compared with evidence.

What users call:

    load_table        open a table of true accuracies
    run, load_run     run an experiment, read the records of a run: a `Run` gives tidy pandas frames
    select            run one selector with one seed
    score             score a network or an architecture by a zero-cost proxy
    compare           hold a run against a baseline
    plot, draw        the figures of the report, the cells of an architecture

What authors of plug-ins need: the other names, which the entry points of a plug-in stand for and are checked by.

Everything that the caller can correct is a `UserError`, whose message is one sentence: where, what was given, what was
expected, and what to do. Every kind of mistake has a type of its own, derived from `UserError` and from the built-in
exception that fits: `UnknownName` (LookupError), `InvalidArgument`, `InvalidArchitecture`, `InvalidExperiment`,
`InvalidRecords`, `InvalidTable`, `CannotCompare`, `NoScore` (ValueError), `NotInTable`, `AmbiguousQuery` (LookupError),
`MissingData` (FileNotFoundError), `FailedTrial` (RuntimeError).

The list of names is short because every one on it is a promise; everything else has its place in `opselect.bench` (the
harness), `opselect.selectors` (everything that decides) and `opselect.spaces` (what is decided about). Nothing is
imported before a name is used.

Example:
    >>> import opselect
    >>> space = opselect.load("spaces", "digits201")
    >>> [edge.name for edge in space.edges]
    ['0→1', '0→2', '1→2', '0→3', '1→3', '2→3']
    >>> "zero-cost-pt" in opselect.names("selectors")
    True
    >>> try:
    ...     opselect.load_table("digits21")
    ... except opselect.UserError as error:
    ...     print(type(error).__name__, error)
    UnknownName no table named 'digits21'; did you mean 'digits201'? known are digits201, nasbench201
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opselect.bench.conformance.run import checks
    from opselect.bench.experiment.file import InvalidExperiment
    from opselect.bench.gate.compare import CannotCompare
    from opselect.bench.interface import (
        Comparison,
        Drawing,
        FailedTrial,
        InvalidArgument,
        NoScore,
        SelectionResult,
        compare,
        draw,
        load_table,
        run,
        score,
        select,
    )
    from opselect.bench.report import plot
    from opselect.bench.runs.run import Run, load_run
    from opselect.bench.storage.store import InvalidRecords
    from opselect.selectors.edgewise import decide_edges
    from opselect.selectors.methods import Settings
    from opselect.selectors.proxies.interface import Combination, Proxy
    from opselect.selectors.supernets.settings import SupernetTraining
    from opselect.selectors.task import Needs, RegisteredScore, Selection, Task
    from opselect.spaces.errors import MissingData, UserError
    from opselect.spaces.images import ImageData, LabelledImages
    from opselect.spaces.registry import UnknownName, load, names
    from opselect.spaces.space import Architecture, Edge, InvalidArchitecture, SearchSpace, Supernet
    from opselect.spaces.table import AmbiguousQuery, InvalidTable, NotInTable, Table

    __version__: str
else:
    # Type checkers do not see it, or they would take any name for one of ours.
    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("importlib.metadata").version("opselect")
        if name == "plot":
            return import_module("opselect.bench.report.plot")
        if name not in _PLACE_OF:
            raise AttributeError(f"module 'opselect' has no attribute {name!r}")
        return getattr(import_module(_PLACE_OF[name]), name)


_PLACES = {
    "bench.conformance.run": ("checks",),
    "bench.experiment.file": ("InvalidExperiment",),
    "bench.gate.compare": ("CannotCompare",),
    "bench.interface": (
        "Comparison",
        "Drawing",
        "FailedTrial",
        "InvalidArgument",
        "NoScore",
        "SelectionResult",
        "compare",
        "draw",
        "load_table",
        "run",
        "score",
        "select",
    ),
    "bench.runs.run": ("Run", "load_run"),
    "bench.storage.store": ("InvalidRecords",),
    "selectors.edgewise": ("decide_edges",),
    "selectors.methods": ("Settings",),
    "selectors.proxies.interface": ("Combination", "Proxy"),
    "selectors.supernets.settings": ("SupernetTraining",),
    "selectors.task": ("Needs", "RegisteredScore", "Selection", "Task"),
    "spaces.errors": ("MissingData", "UserError"),
    "spaces.images": ("ImageData", "LabelledImages"),
    "spaces.registry": ("UnknownName", "load", "names"),
    "spaces.space": ("Architecture", "Edge", "InvalidArchitecture", "SearchSpace", "Supernet"),
    "spaces.table": ("AmbiguousQuery", "InvalidTable", "NotInTable", "Table"),
}
_PLACE_OF = {name: f"opselect.{place}" for place, names_there in _PLACES.items() for name in names_there}

__all__ = [
    "AmbiguousQuery",
    "Architecture",
    "CannotCompare",
    "Combination",
    "Comparison",
    "Drawing",
    "Edge",
    "FailedTrial",
    "ImageData",
    "InvalidArchitecture",
    "InvalidArgument",
    "InvalidExperiment",
    "InvalidRecords",
    "InvalidTable",
    "LabelledImages",
    "MissingData",
    "Needs",
    "NoScore",
    "NotInTable",
    "Proxy",
    "RegisteredScore",
    "Run",
    "SearchSpace",
    "Selection",
    "SelectionResult",
    "Settings",
    "Supernet",
    "SupernetTraining",
    "Table",
    "Task",
    "UnknownName",
    "UserError",
    "__version__",
    "checks",
    "compare",
    "decide_edges",
    "draw",
    "load",
    "load_run",
    "load_table",
    "names",
    "plot",
    "run",
    "score",
    "select",
]


def __dir__() -> list[str]:
    return __all__
