"""Declared tables: a column carries its cell, and marks, blocks and missing columns follow from the declaration."""

from dataclasses import dataclass

import pytest

from opselect.bench.report.latex import latex
from opselect.bench.report.render import Block, Cell, Column, Section, Table, best_marks, csv_text, markdown


@dataclass(frozen=True)
class Row:
    """A selector and its regret."""

    label: str
    regret: float | None


def table(*, has_regret: bool = True, reference: tuple[Row, ...] = ()) -> Table[Row]:
    """A table whose second column ranks, and may be missing."""
    rows = (Row("a", 2.0), Row("b", 1.0), Row("c", None), Row("d", 3.0))
    return Table(
        name="regrets",
        title="Regrets",
        columns=(
            Column("Selector", show=lambda row: row.label, numeric=False),
            Column(
                "Regret", "pp", "↓", show=lambda row: str(row.regret), rank=lambda row: row.regret, shown=has_regret
            ),
        ),
        blocks=[Block("", rows), Block("Reference", reference)],
        data=rows,
    )


def test_a_column_shows_its_cells_and_marks_the_best_in_its_direction() -> None:
    (block,) = table().shown_blocks
    assert block.rows == [
        (Cell("a"), Cell("2.0", "runner-up")),
        (Cell("b"), Cell("1.0", "best")),
        (Cell("c"), Cell("None")),
        (Cell("d"), Cell("3.0")),
    ]


def test_rows_after_the_first_block_do_not_compete() -> None:
    competing, reference = table(reference=(Row("r", 0.0), Row("s", 9.0))).shown_blocks
    assert competing.rows == table().shown_blocks[0].rows
    assert [cell for _, cell in reference.rows] == [Cell("0.0"), Cell("9.0")]


def test_a_column_that_the_records_cannot_fill_is_in_no_form_but_its_numbers_are() -> None:
    missing = table(has_regret=False)
    assert "Regret" in markdown(table()) and "Regret (" not in markdown(missing)
    assert "Regret &" not in latex(missing) and r"\begin{tabular}{@{}l@{}}" in latex(missing)
    assert csv_text(missing) == csv_text(table()) == "label,regret\na,2\nb,1\nc,\nd,3\n"


def test_a_cell_keeps_the_mark_that_its_column_gives_it() -> None:
    column: Column[Row] = Column(
        "Regret", better="↓", show=lambda row: Cell(row.label, "runner-up"), rank=lambda row: row.regret
    )
    assert column.cells([Row("a", 1.0), Row("b", 2.0)], competing=True) == [
        Cell("a", "runner-up"),
        Cell("b", "runner-up"),
    ]


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([], []),
        ([1.0], [""]),
        ([1.0, None], ["", ""]),
        ([1.001, 1.002], ["", ""]),
        ([1.0, 3.0, 2.0], ["", "best", "runner-up"]),
        ([3.001, 3.0, 2.0], ["best", "best", ""]),
        ([1.0, 3.0, 1.0], ["runner-up", "best", "runner-up"]),
    ],
)
def test_the_best_are_marked_as_printed(values: list[float | None], marks: list[str]) -> None:
    assert best_marks(values, "↑") == marks
    assert best_marks([None if value is None else -value for value in values], "↓") == marks


def test_a_section_shows_the_tables_that_have_rows() -> None:
    empty: Table[Row] = Table("empty", "Empty", table().columns, [Block("", [])])
    full = table()
    assert Section("Both", tables=(empty, full)).shown_tables == (full,)
