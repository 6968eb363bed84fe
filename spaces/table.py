"""Tables of accuracies: every architecture of a space, by dataset, split, training epochs and seed.

A table is a Parquet file in long form, one row per accuracy, with the columns of `COLUMNS`. Its metadata hold the name
of the space, how the table was made, and the version of this format. Nothing is guessed and nothing is imputed: a query
names dataset and epochs unless there is only one of them, a mean is over all seeds, and an accuracy that is not in the
file is missing. This avoids a known trap: queries of NAS-Bench-201 that silently mean 12 epochs and one training.

Every worker process of an experiment opens the table, so opening it has to be fast and small. Neither torch nor pandas
is imported for it, nor the parts of pyarrow that read folders and group rows, which take many times the memory and the
time that the table takes. Instead the rows are grouped with NumPy: every column is replaced by numbers of its distinct
values, one sort finds the rows of every (dataset, split, epochs), and a query then makes one array
`[architectures, seeds]`, which is cached.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from jaxtyping import Float

from opselect.spaces import registry
from opselect.spaces.errors import MissingData, UserError
from opselect.spaces.files import atomic_write, imported_table, imported_tables, is_file
from opselect.spaces.notations import AnyArchitecture, read_architecture
from opselect.spaces.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
METADATA_KEY = b"opselect.table"

COLUMNS = pa.schema(
    [
        ("architecture", pa.dictionary(pa.int32(), pa.string())),
        ("dataset", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("epochs", pa.int16()),
        ("seed", pa.int32()),
        ("accuracy", pa.float32()),
        ("training_seconds", pa.float32()),
        ("parameters", pa.int64()),
        ("multiply_adds", pa.int64()),
    ]
)
"""Accuracies are in percent, training seconds those of one seed. The last three may be null, and an unknown seed is."""
DECIMAL_COLUMNS = COLUMNS.set(COLUMNS.get_field_index("accuracy"), pa.field("accuracy", pa.float64()))
"""The same with accuracies in double precision, for sources that write decimals: 93.76 is not 93.760002 there."""
MEAN_DECIMALS = 9
"""Decimals of means of such accuracies: sums of decimals differ in the last bits, which would part equal means."""

MOST_ROWS = 5_000_000
"""Limit of rows; the published accuracies of NAS-Bench-201 have 655,000."""
LARGEST_CONTENT = 128 * 2**20
"""Limit in bytes of all unpacked columns together."""

ROWS_AT_A_TIME = 10_000
"""Number of rows that are turned into text at a time, which bounds the memory."""

GROUP = ["dataset", "split", "epochs"]
"""The columns that every query names."""

KEY = ("architecture", *GROUP, "seed")
"""The columns that identify an accuracy."""

SeedPolicy: TypeAlias = Literal["mean", "each"] | int


class InvalidTable(UserError, ValueError):
    """A file is no table, is truncated, or has another format version."""


class NotInTable(UserError, LookupError):
    """A query names something that the table does not hold; the message says what it holds."""


class AmbiguousQuery(UserError, LookupError):
    """A query leaves out what the table has several of; the message lists them."""


@dataclass(frozen=True, repr=False)
class Table:
    """Accuracies of the architectures of one space.

    Attributes:
        space: Search space of the architectures.
        rows: Accuracies, with the columns of `COLUMNS` or `DECIMAL_COLUMNS`.
        provenance: How the table was made, as plain JSON data.

    Example:
        >>> table = load("digits201")
        >>> table
        <Table of digits201: digits test after 10 epochs; digits valid after 10 epochs>
        >>> cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        >>> round(table.accuracy(cell), 2)
        60.82
        >>> accuracies = table.accuracy(cell, "digits", "test", epochs=10, seeds="each")
        >>> [round(accuracy, 2) for accuracy in accuracies]
        [61.87, 58.99, 61.59]
    """

    space: SearchSpace
    rows: pa.Table
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        """The space and the columns."""
        return f"<Table of {self.space.name}: {_listed(self.columns) or 'no accuracies'}>"

    @cached_property
    def architectures(self) -> list[str]:
        """All architectures of the space as text, in the order of `space.enumerate()`."""
        return [self.space.format(architecture) for architecture in self.space.enumerate()]

    @property
    def columns(self) -> tuple[tuple[str, str, int], ...]:
        """Every (dataset, split, epochs) that has accuracies, sorted."""
        return tuple(sorted(self._row_numbers))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits: a hash of the accuracies alone, whatever the timings, row order and file layout."""
        frame = self.rows.select([*KEY, "accuracy"]).to_pandas()
        texts = dict.fromkeys(("architecture", "dataset", "split"), str)
        for name in texts:
            frame[name] = frame[name].cat.reorder_categories(sorted(frame[name].cat.categories))
        # In single precision, in which tables were imported before, so that their records stay those of the table.
        frame["accuracy"] = frame["accuracy"].astype("float32")
        frame = frame.sort_values(list(KEY))
        digest = hashlib.sha256()
        for start in range(0, max(len(frame), 1), ROWS_AT_A_TIME):
            chunk = frame.iloc[start : start + ROWS_AT_A_TIME].astype(texts)
            digest.update(chunk.to_csv(index=False, header=start == 0).encode())
        return digest.hexdigest()[:16]

    def contents(self) -> "pd.DataFrame":
        """Summary of the table: one row per (dataset, split, epochs).

        Returns:
            A frame with the columns of `GROUP`; the number of architectures with an accuracy and of those without;
            the seeds as one text; and the lowest, median and highest accuracy in percent.
        """
        known = self.rows.select([*KEY, "accuracy"]).to_pandas().dropna(subset="accuracy")
        frame = known.groupby(GROUP, observed=True).agg(
            architectures=("architecture", "nunique"),
            missing=("architecture", lambda present: len(self.architectures) - present.nunique()),
            seeds=("seed", lambda seeds: " ".join(str(int(seed)) for seed in sorted(seeds.dropna().unique()))),
            lowest=("accuracy", "min"),
            median=("accuracy", "median"),
            highest=("accuracy", "max"),
        )
        return frame.reset_index()

    def accuracies(
        self, dataset: str | None = None, split: str = "test", epochs: int | None = None, seeds: SeedPolicy = "mean"
    ) -> Float[np.ndarray, " architectures"] | Float[np.ndarray, "architectures seeds"]:
        """Accuracies in percent of all architectures, in the order of `space.enumerate()`; NaN where one is missing.

        Args:
            dataset: Name of the dataset, one of those in `columns`; may be left out where there is only one.
            split: `"valid"` or `"test"`.
            epochs: Number of epochs that the networks were trained for; may be left out where there is only one.
            seeds: `"mean"` over the seeds that an architecture has, `"each"` for one column per seed in ascending
                order, or one seed.

        Returns:
            An array `[architectures]`, or `[architectures, seeds]` with `seeds="each"`.

        Raises:
            NotInTable: The table has no such dataset, split, epochs or seed.
            AmbiguousQuery: Dataset or epochs are left out, and the table has several.
        """
        dataset, split, epochs = self._column(dataset, split, epochs)
        by_seed, columns = self._by_seed(dataset, split, epochs)
        if seeds == "each":
            return by_seed.copy()
        if seeds == "mean":
            counts = (~np.isnan(by_seed)).sum(axis=1)
            means = np.divide(np.nansum(by_seed, axis=1), counts, out=np.full(len(by_seed), np.nan), where=counts > 0)
            return means.round(MEAN_DECIMALS) if _schema_of(self.rows) is DECIMAL_COLUMNS else means
        if seeds not in columns:
            known = ", ".join("unknown" if seed is None else str(seed) for seed in columns)
            raise NotInTable(f"no seed {seeds} for {dataset} {split} after {epochs} epochs; there are: {known}")
        return by_seed[:, columns.index(seeds)].copy()

    def training_seconds(self, dataset: str, split: str, epochs: int) -> float | None:
        """Mean time of one training, over all architectures and seeds of a column; None where the table does not say.

        Args:
            dataset: Dataset of the accuracies.
            split: Split of the accuracies, `"test"` for example.
            epochs: Training epochs.
        """
        chosen = self.rows.take(self._row_numbers[dataset, split, epochs])["training_seconds"]
        mean: float | None = pyarrow.compute.mean(chosen).as_py()
        return mean

    def accuracy(
        self,
        architecture: AnyArchitecture,
        dataset: str | None = None,
        split: str = "test",
        epochs: int | None = None,
        seeds: SeedPolicy = "mean",
    ) -> float | tuple[float, ...]:
        """Accuracy of one architecture in percent; with `seeds="each"` a tuple with one accuracy per seed.

        Args:
            architecture: Architecture of the table's space in any form: see `opselect.spaces.notations`.
            dataset: Name of the dataset, one of those in `columns`; may be left out where there is only one.
            split: `"valid"` or `"test"`.
            epochs: Number of epochs that the network was trained for; may be left out where there is only one.
            seeds: See `accuracies`.

        Raises:
            NotInTable: The table has no such dataset, split, epochs or seed, or no accuracy of the architecture there.
            AmbiguousQuery: Dataset or epochs are left out, and the table has several.
            InvalidArchitecture: The architecture is not one of the table's space.
        """
        dataset, split, epochs = self._column(dataset, split, epochs)
        text = self.space.format(read_architecture(architecture, self.space))
        value = self.accuracies(dataset, split, epochs, seeds)[self.positions[text]]
        if np.isnan(value).all():
            raise NotInTable(f"{text} has no accuracy for {dataset} {split} after {epochs} epochs")
        return tuple(float(number) for number in value) if seeds == "each" else float(value)

    def _column(self, dataset: str | None, split: str, epochs: int | None) -> tuple[str, str, int]:
        """The dataset, split and epochs of a query, with what it leaves out where the table has only one of it."""
        if dataset is not None and epochs is not None:
            return dataset, split, epochs
        fitting = [
            column
            for column in self.columns
            if column[1] == split and dataset in (None, column[0]) and epochs in (None, column[2])
        ]
        if not fitting:
            asked = " ".join(filter(None, (dataset, split))) + (f" after {epochs} epochs" if epochs is not None else "")
            raise NotInTable(f"no accuracies for {asked}; there are: {_listed(self.columns)}")
        if len(fitting) > 1:
            left_out = [
                name for name, values in zip(GROUP, zip(*fitting, strict=True), strict=True) if len({*values}) > 1
            ]
            raise AmbiguousQuery(
                f"the table has {len(fitting)} columns that fit; name {' and '.join(left_out)}, there are: "
                f"{_listed(fitting)}"
            )
        return fitting[0]

    def row(self, architecture: AnyArchitecture) -> "pd.DataFrame":
        """All rows of one architecture, as a frame with the columns of `COLUMNS`."""
        text = self.space.format(read_architecture(architecture, self.space))
        return self.rows.filter(pa.compute.equal(self.rows["architecture"].cast(pa.string()), text)).to_pandas()

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position in `accuracies` of every architecture, by its text."""
        return {text: number for number, text in enumerate(self.architectures)}

    @cached_property
    def _numbered(self) -> dict[str, tuple[np.ndarray, list[Any]]]:
        """For every column of `KEY`, the number of every row's value, and the values in the order of these numbers."""
        columns = {name: _distinct(self.rows[name]) for name in KEY}
        return {name: (numbers, values.to_pylist()) for name, (numbers, values) in columns.items()}

    @cached_property
    def _row_numbers(self) -> dict[tuple[str, str, int], np.ndarray]:
        """Numbers of the rows of every (dataset, split, epochs)."""
        columns = [self._numbered[name] for name in GROUP]
        order, starts = _grouped([numbers for numbers, _ in columns])
        groups = np.split(order, starts)[1:]
        by_key = {tuple(values[numbers[rows[0]]] for numbers, values in columns): rows for rows in groups}
        return {key: rows for key, rows in by_key.items() if None not in key}

    @cached_property
    def _row_places(self) -> np.ndarray:
        """Position in `accuracies` of every row's architecture, -1 where the space has no such architecture."""
        numbers, texts = self._numbered["architecture"]
        return np.array([self.positions.get(text, -1) for text in texts])[numbers]

    @cached_property
    def _row_accuracies(self) -> np.ndarray:
        """Accuracy of every row in double precision, NaN where it is missing."""
        column = self.rows["accuracy"].combine_chunks()
        known = _as_numpy(column.is_valid().cast(pa.int8())).astype(bool)
        accuracies = np.full(len(column), np.nan)
        accuracies[known] = _as_numpy(column.drop_null())
        return accuracies

    def _by_seed(self, dataset: str, split: str, epochs: int) -> tuple[np.ndarray, list[int | None]]:
        """Accuracies `[architectures, seeds]`, NaN where the file has none, and the seeds, an unknown one first."""
        key = (dataset, split, epochs)
        if key not in self._row_numbers:
            raise NotInTable(
                f"no accuracies for {dataset} {split} after {epochs} epochs; there are: {_listed(self.columns)}"
            )
        if key not in self._cached:
            rows = self._row_numbers[key]
            numbers, values = self._numbered["seed"]
            seeds = {values[number]: number for number in np.unique(numbers[rows])}
            ascending = sorted(seeds, key=lambda seed: (seed is not None, seed))
            wide = np.full((len(self.architectures), len(seeds)), np.nan)
            for column, seed in enumerate(ascending):
                chosen = rows[(numbers[rows] == seeds[seed]) & (self._row_places[rows] >= 0)]
                wide[self._row_places[chosen], column] = self._row_accuracies[chosen]
            self._cached[key] = wide, ascending
        return self._cached[key]

    @cached_property
    def _cached(self) -> dict[tuple[str, str, int], tuple[np.ndarray, list[int | None]]]:
        """Results of `_by_seed`."""
        return {}

    def write(self, path: Path) -> None:
        """Write the table to a file, completely or not at all.

        Raises:
            NotWritten: The disk is full or the folder is read-only, for example.
        """
        metadata = {"version": FORMAT_VERSION, "space": self.space.name, "provenance": self.provenance}
        rows = self.rows.cast(_schema_of(self.rows)).replace_schema_metadata(
            {METADATA_KEY: json.dumps(metadata).encode()}
        )
        with atomic_write(path) as temporary:
            pa.parquet.write_table(rows, temporary, compression="zstd", compression_level=19, write_page_checksum=True)


def _listed(columns: Sequence[tuple[str, str, int]]) -> str:
    """Columns as messages list them."""
    return "; ".join(f"{dataset} {split} after {epochs} epochs" for dataset, split, epochs in columns)


def read(path: Path) -> Table:
    """Open the table in a Parquet file.

    Everything is checked on opening, so that a damaged file cannot give a wrong accuracy later: checksums of the pages,
    columns, size, repeated rows and the range of accuracies.

    Raises:
        MissingData: There is no such file.
        InvalidTable: The file is no table, is damaged, or has another format version.
    """
    if not is_file(path):
        raise MissingData(f"table not found at {path}; 'opselect table build digits201' makes one")
    try:
        with pa.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            _check_size(file.metadata, path)
            # Columns are read one after the other, so that the memory for unpacking one is free for the next.
            columns = {
                name: file.read([name], use_threads=False)[name] for name in COLUMNS.names if name in schema.names
            }
        metadata = json.loads((schema.metadata or {})[METADATA_KEY])
        version, space_name, provenance = metadata["version"], metadata["space"], metadata["provenance"]
        missing = [name for name in COLUMNS.names if name not in columns]
    except InvalidTable:
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        damaged = isinstance(error, pa.ArrowException | OSError)
        kind = "damaged or no Parquet file" if damaged else "not a table of opselect"
        raise InvalidTable(f"{path}: {kind}; expected a file written by 'opselect table'") from error
    if version != FORMAT_VERSION:
        raise InvalidTable(
            f"{path}: table format version {version!r}, expected {FORMAT_VERSION}; "
            "build or import it again with this opselect"
        )
    if missing:
        raise InvalidTable(f"{path}: the column(s) {', '.join(missing)} are missing; build or import the table again")
    if space_name not in registry.names("spaces") or not isinstance(provenance, dict):
        hint = registry.did_you_mean(str(space_name), registry.names("spaces"))
        raise InvalidTable(f"{path}: its space is {space_name!r}, which is not registered{hint}")
    try:
        rows = pa.Table.from_arrays(list(columns.values()), COLUMNS.names)
        rows = rows.cast(_schema_of(rows)).unify_dictionaries()
        rows.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        raise InvalidTable(f"{path}: a column is not what its name says ({error}); build or import it again") from error
    check_rows(rows, str(path))
    space = registry.load("spaces", space_name)
    try:
        next(iter(space.enumerate()))
    except UserError as error:
        raise InvalidTable(f"{path}: a table of {space_name}: {error}") from None
    return Table(space, rows, provenance)


def _schema_of(rows: pa.Table) -> pa.Schema:
    return DECIMAL_COLUMNS if rows.schema.field("accuracy").type == pa.float64() else COLUMNS


def _check_size(metadata: pa.parquet.FileMetaData, path: Path) -> None:
    """Refuse a file whose columns unpack to more than any table has.

    Raises:
        InvalidTable: The file declares too many rows or bytes.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    if rows > MOST_ROWS or unpacked > LARGEST_CONTENT:
        raise InvalidTable(
            f"{path}: {rows:,} rows in {unpacked:,} bytes, expected at most {MOST_ROWS:,} rows in "
            f"{LARGEST_CONTENT:,} bytes"
        )


def check_rows(rows: pa.Table, where: str) -> None:
    """Check that every accuracy occurs once and is a percentage.

    Args:
        rows: Accuracies, with the columns of `COLUMNS`.
        where: Name of the source, for messages.

    Raises:
        InvalidTable: Two rows have the same key, or an accuracy is not from 0 to 100.
    """
    _, starts = _grouped([_distinct(rows[name])[0] for name in KEY])
    if len(starts) != rows.num_rows:
        raise InvalidTable(
            f"{where}: {rows.num_rows - len(starts)} row(s) repeat the {', '.join(KEY)} of another one; "
            "expected one accuracy for each"
        )
    accuracies = _as_numpy(rows["accuracy"].combine_chunks().drop_null())
    wrong = accuracies[~((accuracies >= 0) & (accuracies <= 100))]
    if len(wrong):
        raise InvalidTable(f"{where}: {len(wrong)} accuracies are like {wrong[0]:g}, expected percentages, 0 to 100")


def _distinct(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """The number of every row's value among the distinct values of a column, and these values; null is one of them."""
    array = column.combine_chunks()
    if not isinstance(array, pa.DictionaryArray):
        encoded = array.dictionary_encode(null_encoding="encode")
        return _as_numpy(encoded.indices), encoded.dictionary
    encoded = array.indices.dictionary_encode(null_encoding="encode")
    return _as_numpy(encoded.indices), array.dictionary.take(encoded.dictionary)


def _grouped(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Group the rows that agree in all columns.

    Returns:
        An order of the rows in which the rows of a group are neighbours, and the position where each group starts.
    """
    order = np.lexsort(columns)
    first = np.ones(len(order), bool)
    first[1:] = False
    for numbers in columns:
        first[1:] |= np.diff(numbers[order]) != 0
    return order, np.flatnonzero(first)


def _as_numpy(array: pa.Array) -> np.ndarray:
    """A NumPy array of the same values; the array must have no nulls."""
    # pyarrow's own to_numpy imports pandas.
    return np.from_dlpack(array)


def checked_name(name: str) -> str:
    """Return the name if a table can be imported under it.

    Raises:
        UnknownName: The name is not a plain file name, or belongs to a table that is not imported.

    Example:
        >>> checked_name("nasbench201-v1.1")
        'nasbench201-v1.1'
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name, re.ASCII) or name.endswith(".parquet"):
        raise registry.UnknownName(f"table name {name!r}, expected letters, digits, '.', '_' and '-'")
    if name in registry.names("tables") and name != "nasbench201":
        raise registry.UnknownName(f"table name {name!r} belongs to a table that is not imported; choose another one")
    return name


def names() -> tuple[str, ...]:
    """Names of all tables that `load` knows, registered or imported, sorted."""
    return tuple(sorted(imported_tables().union(registry.names("tables"))))


def load(name: str) -> Table:
    """Load a registered or imported table by its name, or a file whose path ends in `.parquet`.

    Raises:
        UnknownName: No table has this name.
        MissingData: The file is missing.
        InvalidTable: The file cannot be read as a table.

    Example:
        >>> load("digits201").space.name
        'digits201'
    """
    if name.endswith(".parquet"):
        return read(Path(name))
    if name not in names():
        raise registry.UnknownName(f"no table named {name!r}{registry.did_you_mean(name, names())}")
    if name not in registry.names("tables"):
        return read(imported_table(name))
    table: Table = registry.load("tables", name)()
    return table


def digits201() -> Table:
    """The table that the package ships: all 15,625 cells on `digits`, 10 epochs, 3 seeds, trained by this project."""
    return read(Path(__file__).with_name("digits201.parquet"))


def nasbench201() -> Table:
    """The table that 'opselect table import' made from the published accuracies of NAS-Bench-201.

    Raises:
        MissingData: No table has been imported.
        InvalidTable: The file cannot be read as a table.
    """
    path = imported_table("nasbench201")
    if not path.is_file():
        raise MissingData(
            f"the table nasbench201 is not in {path.parent}; make it of NAS-Bench-201-v1_1-096897.pth or another "
            "published file with: opselect table import nasbench201 PATH"
        )
    return read(path)
