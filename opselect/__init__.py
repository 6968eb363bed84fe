"""Operation selection in differentiable neural architecture search, compared with evidence.

These are the names that users and authors of plug-ins need first: what the entry points of a plug-in stand for and
are checked by, and what opens what is registered. The list is short because every name on it is a promise; everything
else has its place in `opselect.bench` (the harness), `opselect.selectors` (everything that decides) and
`opselect.spaces` (what is decided about). Nothing is imported before a name is used.

Example:
    >>> import opselect
    >>> space = opselect.load("spaces", "digits201")
    >>> [edge.name for edge in space.edges]
    ['0→1', '0→2', '1→2', '0→3', '1→3', '2→3']
    >>> "zero-cost-pt" in opselect.names("selectors")
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opselect.bench.conformance.run import checks
    from opselect.selectors.edgewise import decide_edges
    from opselect.selectors.methods import Settings
    from opselect.selectors.proxies.interface import Combination, Proxy
    from opselect.selectors.supernets.settings import SupernetTraining
    from opselect.selectors.task import Needs, RegisteredScore, Selection, Task
    from opselect.spaces.images import ImageData, LabelledImages
    from opselect.spaces.registry import load, names
    from opselect.spaces.space import Architecture, Edge, SearchSpace, Supernet
    from opselect.spaces.table import Table

    __version__: str
else:
    # Type checkers do not see it, or they would take any name for one of ours.
    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("importlib.metadata").version("opselect")
        if name not in _PLACE_OF:
            raise AttributeError(f"module 'opselect' has no attribute {name!r}")
        return getattr(import_module(_PLACE_OF[name]), name)


_PLACES = {
    "bench.conformance.run": ("checks",),
    "selectors.edgewise": ("decide_edges",),
    "selectors.methods": ("Settings",),
    "selectors.proxies.interface": ("Combination", "Proxy"),
    "selectors.supernets.settings": ("SupernetTraining",),
    "selectors.task": ("Needs", "RegisteredScore", "Selection", "Task"),
    "spaces.images": ("ImageData", "LabelledImages"),
    "spaces.registry": ("load", "names"),
    "spaces.space": ("Architecture", "Edge", "SearchSpace", "Supernet"),
    "spaces.table": ("Table",),
}
_PLACE_OF = {name: f"opselect.{place}" for place, names_there in _PLACES.items() for name in names_there}

__all__ = [
    "Architecture",
    "Combination",
    "Edge",
    "ImageData",
    "LabelledImages",
    "Needs",
    "Proxy",
    "RegisteredScore",
    "SearchSpace",
    "Selection",
    "Settings",
    "Supernet",
    "SupernetTraining",
    "Table",
    "Task",
    "__version__",
    "checks",
    "decide_edges",
    "load",
    "names",
]


def __dir__() -> list[str]:
    return __all__
