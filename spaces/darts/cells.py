"""The cells of the DARTS spaces as data: their edges, and the candidate operations on every edge.

Nodes 0 and 1 are the outputs of the two preceding cells, nodes 2 to 5 are inner nodes, and an edge leads to every inner
node from each node before it. A network has two types of cells; those that halve the resolution are called `reduce`.

Sources: Liu et al., DARTS, ICLR 2019 (arXiv 1806.09055) for the original operations; Zela et al., Understanding and
Robustifying Differentiable Architecture Search, ICLR 2020 (arXiv 1909.09656) for S1 to S4; the code of Wang et al.,
Rethinking Architecture Selection in Differentiable NAS, ICLR 2021 (arXiv 2108.04392) for the operations on the edges,
and for S5, which is the original space without `none`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Cell: TypeAlias = Literal["normal", "reduce"]
CELLS: tuple[Cell, ...] = ("normal", "reduce")

CELL_INPUTS = 2
INNER_NODES = 4

EDGES = tuple((source, target) for target in range(CELL_INPUTS, CELL_INPUTS + INNER_NODES) for source in range(target))
"""The 14 edges (source, target) of either cell, target-major: 0→2 1→2 | 0→3 1→3 2→3 | 0→4 ... 3→4 | 0→5 ... 4→5."""

ORIGINAL_OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

EdgeOperations: TypeAlias = tuple[tuple[str, ...], ...]
"""The candidate operations of every edge of a cell, in the order of `EDGES`."""

_SHORT_NAMES = {
    "skip": "skip_connect",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "sep3": "sep_conv_3x3",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}


def _read_rows(*rows: str) -> EdgeOperations:
    """Read the operations of a cell from one row per target node, whose edges are separated by bars."""
    return tuple(tuple(_SHORT_NAMES[name] for name in edge.split()) for row in rows for edge in row.split("|"))


def _everywhere(*operations: str) -> Mapping[Cell, EdgeOperations]:
    """Both cells with the same operations on every edge."""
    return MappingProxyType({cell: (operations,) * len(EDGES) for cell in CELLS})


# In S1, every edge has the two operations that a search on the original space ranked highest there.
_S1: Mapping[Cell, EdgeOperations] = MappingProxyType(
    {
        "normal": _read_rows(
            "skip dil3 | skip dil5",
            "skip dil5 | skip sep3 | skip dil3",
            "max skip  | skip sep3 | skip sep3 | skip dil3",
            "skip sep3 | max skip  | skip dil3 | dil3 dil5 | dil3 dil5",
        ),
        "reduce": _read_rows(
            "max avg   | max dil3",
            "max avg   | max avg   | skip dil5",
            "max avg   | max sep3  | skip dil3 | skip dil5",
            "max avg   | max avg   | skip dil5 | skip dil5 | skip dil5",
        ),
    }
)

SPACES: Mapping[str, Mapping[Cell, EdgeOperations]] = MappingProxyType(
    {
        "original": _everywhere(*ORIGINAL_OPERATIONS),
        "s1": _S1,
        "s2": _everywhere("skip_connect", "sep_conv_3x3"),
        "s3": _everywhere("none", "skip_connect", "sep_conv_3x3"),
        "s4": _everywhere("noise", "sep_conv_3x3"),
        "s5": _everywhere(*(operation for operation in ORIGINAL_OPERATIONS if operation != "none")),
    }
)
"""Candidate operations of the 14 edges in the order of `EDGES`, by space and type of cell."""
