"""The NAS-Bench-201 cell as other projects write it: a tuple of six symbols, in their order of edges and operations.

Projects differ in the order of the edges (arch strings are target-major, NASLib is source-major), in the order of the
operations and in their names. A tuple that is read in the wrong encoding is a valid but different cell, so nothing
warns: accuracies then belong to the wrong cells, and a comparison of two projects measures the mix-up. Therefore this
module is the only translator. Every encoding is data, with the place in the project's code that defines it, and every
translation goes through `Architecture`: a tuple is read with one encoding and written with another.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from opselect.spaces.nasbench201.space import EDGES, OPERATIONS
from opselect.spaces.space import Architecture, InvalidArchitecture, operation_indices

TARGET_MAJOR = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
SOURCE_MAJOR = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


@dataclass(frozen=True)
class Encoding:
    """The way in which one project writes a cell.

    Attributes:
        name: Key of the encoding in `ENCODINGS`.
        source: Place where the project defines the encoding, and what in the project holds such a tuple.
        edges: Edge (source node, target node) at every position of the tuple; the cell's input is node 0.
        edge_names: The project's names of these positions; `dict(zip(edge_names, to_tuple(a)))` is its mapping.
        operations: Our names of the operations, in the project's order.
        symbols: The project's symbols of `operations`: numbers where it counts them, names where it names them.

    Example:
        >>> cell = ENCODINGS["naslib"].from_tuple((2, 1, 1, 0, 1, 4))
        >>> cell.operations
        ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'avg_pool_3x3')
        >>> ENCODINGS["nats-bench"].to_tuple(cell)
        (3, 0, 1, 0, 0, 4)
    """

    name: str
    source: str
    edges: tuple[tuple[int, int], ...]
    edge_names: tuple[str, ...]
    operations: tuple[str, ...]
    symbols: tuple[int, ...] | tuple[str, ...]

    def to_tuple(self, architecture: Architecture) -> tuple[int | str, ...]:
        """The six symbols of an architecture, in the order of `edges`.

        Raises:
            InvalidArchitecture: The architecture is not a NAS-Bench-201 cell.
        """
        operation_indices(EDGES, architecture)
        on_edge = dict(zip(TARGET_MAJOR, architecture.operations, strict=True))
        return tuple(self.symbols[self.operations.index(on_edge[edge])] for edge in self.edges)

    def from_tuple(self, values: Sequence[object]) -> Architecture:
        """The architecture that six symbols describe; undoes `to_tuple`.

        Args:
            values: Six symbols in the order of `edges`; lists and NumPy integers are accepted too.

        Raises:
            InvalidArchitecture: There are not six values, or the project does not write one of them.
        """
        if len(values) != len(self.edges):
            raise InvalidArchitecture(
                f"{self.name} tuple {reprlib.repr(values)}: {len(values)} value(s), expected {len(self.edges)}, one "
                f"for each of the edges {', '.join(self.edge_names)}"
            )
        on_edge = {
            edge: self._operation(edge_name, value)
            for edge, edge_name, value in zip(self.edges, self.edge_names, values, strict=True)
        }
        return Architecture(tuple(on_edge[edge] for edge in TARGET_MAJOR))

    def _operation(self, edge_name: str, value: object) -> str:
        # True and 1.0 equal 1 in Python, but no project writes them, so the tuple is something else.
        if isinstance(value, bool) or not isinstance(value, Integral | str) or value not in self.symbols:
            raise InvalidArchitecture(
                f"{self.name} tuple, edge {edge_name}: unknown operation {reprlib.repr(value)}, expected one of "
                + ", ".join(f"{s!r} ({o})" for s, o in zip(self.symbols, self.operations, strict=True))
            )
        return self.operations[self.symbols.index(value)]


ENCODINGS: dict[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding(
            name="nats-bench",
            source="github.com/D-X-Y/NATS-Bench, nats_bench/api_topology.py: the lower triangle, row by row, of the "
            "matrix that NATStopology.str2matrix makes of an arch string",
            edges=TARGET_MAJOR,
            edge_names=tuple(f"[{target}, {source}]" for source, target in TARGET_MAJOR),
            operations=OPERATIONS,
            symbols=(0, 1, 2, 3, 4),
        ),
        Encoding(
            name="naslib",
            source="github.com/automl/NASLib, naslib/search_spaces/nasbench201/conversions.py: op_indices, also "
            "get_hash and the keys of NAS-Bench-Suite-Zero; encodings.py next to it counts operations differently",
            edges=SOURCE_MAJOR,
            edge_names=tuple(f"({source + 1}, {target + 1})" for source, target in SOURCE_MAJOR),
            operations=("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"),
            symbols=(0, 1, 2, 3, 4),
        ),
        Encoding(
            name="archai",
            source="github.com/microsoft/archai, archai/discrete_search/search_spaces/benchmark/natsbench_tss.py: the "
            "names that _get_op_list cuts out of an arch string (taken over from naszilla); OPS gives the order",
            edges=TARGET_MAJOR,
            edge_names=tuple(f"{source}~{target}" for source, target in TARGET_MAJOR),
            operations=("none", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "skip_connect"),
            symbols=("none", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "skip_connect"),
        ),
        Encoding(
            name="nni",
            source="github.com/microsoft/nni, nni/nas/benchmark/nasbench201/db_gen.py: the values of the architecture "
            "dictionary of query_nb201_trial_stats, in the order of parse_arch_str; constants.py gives the names",
            edges=TARGET_MAJOR,
            edge_names=tuple(f"{source}_{target}" for source, target in TARGET_MAJOR),
            operations=OPERATIONS,
            symbols=("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3"),
        ),
        Encoding(
            name="syne-tune",
            source="github.com/syne-tune/syne-tune, syne_tune/blackbox_repository/conversion_scripts/scripts/"
            "nasbench201_import.py: the values of CONFIG_KEYS, filled from arch strings by str_to_list",
            edges=TARGET_MAJOR,
            edge_names=("hp_x0", "hp_x1", "hp_x2", "hp_x3", "hp_x4", "hp_x5"),
            operations=("avg_pool_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none"),
            symbols=("avg_pool_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none"),
        ),
    )
}
"""Encodings by project name. Projects without a tuple of numbers have one of names, exactly as they write them."""
