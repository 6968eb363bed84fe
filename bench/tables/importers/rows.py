"""The common part of all importers: rows are collected one by one and become a table."""

import reprlib
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.space import InvalidArchitecture
from opselect.spaces.table import DECIMAL_COLUMNS, InvalidTable, Table, check_rows

Progress: TypeAlias = Callable[[int, int], None]
"""A function that is called with the amount that is done and the total."""

Row: TypeAlias = tuple[Any, ...]
"""The values of one row, in the order of `DECIMAL_COLUMNS`."""


class Rows:
    """The rows of a NAS-Bench-201 table during its import.

    Example:
        >>> rows = Rows()
        >>> cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> rows.add([(cell, "cifar10", "test", 200, 777, 90.5, None, None, None)], "an example")
        >>> table = rows.table(Path("example.csv"), "example", {})
        >>> table.accuracy(nasbench201.parse(cell), "cifar10", "test", epochs=200, seeds=777)
        90.5
    """

    def __init__(self) -> None:
        self._columns: tuple[list[Any], ...] = tuple([] for _ in DECIMAL_COLUMNS)
        self._texts: dict[str, str] = {}

    def add(self, rows: Iterable[Row], where: str) -> None:
        """Add rows.

        Args:
            rows: Rows with the values of `DECIMAL_COLUMNS`.
            where: Name of their source in messages.

        Raises:
            InvalidTable: The first value of a row is no arch string.
        """
        for row in rows:
            architecture, *values = row
            if not isinstance(architecture, str):
                raise InvalidTable(f"{where}: an architecture is {reprlib.repr(architecture)}, expected an arch string")
            if architecture not in self._texts:
                try:
                    self._texts[architecture] = nasbench201.format(nasbench201.parse(architecture))
                except InvalidArchitecture as error:
                    raise InvalidTable(f"{where}: {error}") from None
            for column, value in zip(self._columns, (self._texts[architecture], *values), strict=True):
                column.append(value)

    def table(self, source: Path, kind: str, notes: dict[str, Any]) -> Table:
        """The table of all rows.

        Args:
            source: Path of the file or folder that the rows come from.
            kind: Kind of the source in words, for the table's provenance.
            notes: Further entries of the table's provenance.

        Raises:
            InvalidTable: There are no rows, one occurs twice, a value has a wrong type, or an accuracy is not from 0 to
                100.
        """
        if not self._columns[0]:
            raise InvalidTable(f"{source}: holds no accuracies")
        try:
            arrays = [pa.array(column, kind) for column, kind in zip(self._columns, DECIMAL_COLUMNS.types, strict=True)]
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise InvalidTable(f"{source}: a value is not what its place asks for ({error})") from None
        rows = pa.Table.from_arrays(arrays, schema=DECIMAL_COLUMNS)
        check_rows(rows, str(source))
        provenance = {
            "source": source.name,
            "kind": kind,
            **notes,
            "software": {name: version(name) for name in ("opselect", "pyarrow")},
            "command": "opselect table import nasbench201 PATH",
        }
        return Table(nasbench201, rows, provenance)
