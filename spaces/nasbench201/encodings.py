"""The NAS-Bench-201 cell as other projects write it down: one tuple of six, in their order and with their symbols.

Projects differ in the order of the edges (arch strings are target-major, NASLib is source-major), in the order of the
operations and in their names. A tuple read in the wrong dialect is a valid but different cell, so nothing warns.
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
    """How one project writes a cell.

    Attributes:
        name: the key in `ENCODINGS`.
        source: where the project defines it, and what in the project holds such a tuple.
        edges: the edge (source node, target node) of every position; the cell's input is node 0.
        edge_names: what the project calls these positions; `dict(zip(edge_names, to_tuple(a)))` is its mapping.
        operations: our operation names, in the project's order.
        symbols: what the project writes for each of `operations`: a number where it counts, a name where it names.
    """

    name: str
    source: str
    edges: tuple[tuple[int, int], ...]
    edge_names: tuple[str, ...]
    operations: tuple[str, ...]
    symbols: tuple[int, ...] | tuple[str, ...]

    def to_tuple(self, architecture: Architecture) -> tuple[int | str, ...]:
        """The six symbols of an architecture, one for each of `edges`.

        Raises:
            InvalidArchitecture: the architecture is not a NAS-Bench-201 cell.
        """
        operation_indices(EDGES, architecture)
        on_edge = dict(zip(TARGET_MAJOR, architecture.operations, strict=True))
        return tuple(self.symbols[self.operations.index(on_edge[edge])] for edge in self.edges)

    def from_tuple(self, values: Sequence[object]) -> Architecture:
        """The architecture that six symbols describe; undoes `to_tuple`. Lists and NumPy integers are read too.

        Raises:
            InvalidArchitecture: not six values, or a value that the project does not write.
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
        # True and 1.0 equal 1 in Python, but a tuple that holds them was not written by the project.
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
"""By project name. Projects without a tuple of numbers have one of names, exactly as they write them."""
