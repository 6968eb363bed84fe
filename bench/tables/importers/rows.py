"""What all importers share: rows gathered one by one, and the table that comes of them."""

import reprlib
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.space import InvalidArchitecture
from opselect.spaces.table import COLUMNS, InvalidTable, Table, check_rows

Progress: TypeAlias = Callable[[int, int], None]
"""`(how much is done, how much there is)`."""

Row: TypeAlias = tuple[Any, ...]
"""The values of `COLUMNS`."""


class Rows:
    """The rows of a table of NAS-Bench-201 while it is imported."""

    def __init__(self) -> None:
        self._columns: tuple[list[Any], ...] = tuple([] for _ in COLUMNS)
        self._texts: dict[str, str] = {}

    def add(self, rows: Iterable[Row], where: str) -> None:
        """Add rows.

        Raises:
            InvalidTable: one of them has no arch string.
        """
        for row in rows:
            architecture, *others = row
            if not isinstance(architecture, str):
                raise InvalidTable(f"{where}: an architecture is {reprlib.repr(architecture)}, expected an arch string")
            if architecture not in self._texts:
                try:
                    self._texts[architecture] = nasbench201.format(nasbench201.parse(architecture))
                except InvalidArchitecture as error:
                    raise InvalidTable(f"{where}: {error}") from None
            for column, value in zip(self._columns, (self._texts[architecture], *others), strict=True):
                column.append(value)

    def table(self, source: Path, kind: str, notes: dict[str, Any]) -> Table:
        """The table of all rows.

        Args:
            source: where they come from.
            kind: of the source, in words.
            notes: what else to say of how the table was made.

        Raises:
            InvalidTable: there are no rows, one stands twice, or an accuracy is no percentage.
        """
        if not self._columns[0]:
            raise InvalidTable(f"{source}: holds no accuracies")
        try:
            arrays = [pa.array(column, field.type) for column, field in zip(self._columns, COLUMNS, strict=True)]
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise InvalidTable(f"{source}: a value is not what its place asks for ({error})") from None
        rows = pa.Table.from_arrays(arrays, schema=COLUMNS)
        check_rows(rows, str(source))
        provenance = {
            "source": source.name,
            "kind": kind,
            **notes,
            "software": {name: version(name) for name in ("opselect", "pyarrow")},
            "command": "opselect table import nasbench201 PATH",
        }
        return Table(nasbench201, rows, provenance)
