"""Tables for papers: what fits is shown, what does not is named, and captions say what the numbers are."""

from dataclasses import dataclass

import pytest

from opselect.bench.report.latex import (
    LAYOUTS,
    TableTooWide,
    UnknownColumn,
    UnknownLayout,
    check_columns,
    escape_latex,
    latex,
    paper_of,
)
from opselect.bench.report.render import Block, Column, Table
from opselect.spaces.registry import UnknownName


@dataclass(frozen=True)
class Row:
    """A selector, what was chosen, and a number."""

    label: str
    architecture: str = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    number: float = 50.25


def measure(place: int) -> Column[Row]:
    """A column of numbers with a deviation, which is left out the sooner the greater the place."""
    return Column(
        f"Measure {place}",
        "%",
        "↑",
        show=lambda row: f"{row.number:.2f} ± {place}.00",
        rank=lambda row: row.number,
        priority=place,
        legend=f"legend {place}",
    )


def table(rows: int = 3, columns: int = 4, text: bool = False) -> Table[Row]:
    """A table of selectors with as many columns of numbers, the last of which goes first."""
    numbers = tuple(map(measure, range(1, columns + 1)))
    architecture = (Column("Architecture", show=lambda row: row.architecture, numeric=False),) if text else ()
    selector: Column[Row] = Column("Selector", show=lambda row: row.label, numeric=False)
    blocks = [Block("", [Row(f"selector {place}", number=50 + place) for place in range(rows)])]
    return Table(
        "measures", "Measures", (selector, *architecture, *numbers), blocks, notes=("A note.",), legend="means"
    )


def shown(text: str) -> list[int]:
    """Which columns of numbers are in a file, by their legends."""
    caption = text.split(r"\caption{")[1].split("\n")[0]
    return [place for place in range(1, 20) if f"legend {place};" in f"{caption};".replace(".};", ";")]


def test_what_fits_is_shown_and_the_last_priority_goes_first() -> None:
    widths = {name: shown(latex(table(columns=9), paper_of(name))) for name in LAYOUTS}
    assert len(widths["column"]) < len(widths["text"]) < len(widths["full"])
    for places in widths.values():
        assert places == list(range(1, len(places) + 1))
    assert shown(latex(table(columns=2), paper_of("column"))) == [1, 2]


def test_what_is_left_out_stands_in_a_comment() -> None:
    text = latex(table(columns=9), paper_of("column"))
    (comment,) = [line for line in text.split("\n") if line.startswith("% Left out")]
    left_out = [place for place in range(1, 10) if f"Measure {place} (%) ↑ (measure_{place})" in comment]
    assert left_out == [place for place in range(1, 10) if place not in shown(text)]
    assert "measures.csv has everything" in comment
    assert "Left out" not in latex(table(columns=2), paper_of("column"))


def test_notes_are_comments_unless_they_are_wanted() -> None:
    assert "\n% A note.\n" in latex(table())
    printed = latex(table(), paper_of(notes=True))
    assert r"\raggedright A note.\end{minipage}" in printed and "% A note." not in printed


def test_a_caption_is_a_sentence_about_what_is_shown() -> None:
    text = latex(table(columns=1))
    assert (
        r"\caption{Measures: means; $\pm$ sample standard deviation; legend 1; best in bold, second best underlined.}"
        in text
    )


def test_a_preset_takes_the_narrowest_place_that_holds_all_columns() -> None:
    icml = paper_of(preset="icml")
    narrow, wide = latex(table(columns=2), icml), latex(table(columns=6), icml)
    assert r"\begin{table}[tp]" in narrow and "Left out" not in narrow
    assert r"\begin{table*}[tp]" in wide and "Left out" not in wide
    assert r"\begin{table}[tp]" in latex(table(columns=6), paper_of("column", "icml"))


def test_a_column_is_chosen_by_its_name_and_the_first_one_stays() -> None:
    text = latex(table(), paper_of(columns=["measure_3", "measure_1_value"]))
    assert r"selector 0 & 50.00 $\pm$ 3.00 & 50.00 $\pm$ 1.00 \\" in text
    assert "% Left out, not chosen: Measure 2 (%) ↑ (measure_2); Measure 4 (%) ↑ (measure_4)." in text
    # A table that has not all of them is as it was.
    assert latex(table(), paper_of(columns=["measure_3", "regret"])) == latex(table())


def test_unknown_names_are_answered_by_near_ones() -> None:
    with pytest.raises(UnknownColumn, match="no table of the report has a column 'mesure_1'; did you mean 'measure_1'"):
        check_columns([table()], ["mesure_1"])
    with pytest.raises(UnknownColumn, match="has all of the columns architecture, measure_9"):
        check_columns([table(columns=1, text=True), table(columns=9)], ["architecture", "measure_9"])
    with pytest.raises(UnknownLayout, match="no layout named 'colum'; did you mean 'column'"):
        paper_of("colum")
    with pytest.raises(UnknownName, match="no preset named 'nips'"):
        paper_of(preset="nips")
    with pytest.raises(UnknownLayout, match="the preset neurips has no layout 'column'; it has text"):
        paper_of("column", "neurips")


def test_columns_that_are_too_wide_are_refused_with_those_to_leave_out() -> None:
    names = [f"measure_{place}" for place in range(1, 7)]
    with pytest.raises(
        TableTooWide, match=r"the layout column has 3\.25 in; leave out measure_4, measure_5, measure_6"
    ) as no:
        latex(table(columns=6), paper_of("column", columns=names))
    assert "or take the layout text" in str(no.value)
    latex(table(columns=6), paper_of("column", columns=names[:3]))


def test_a_long_text_becomes_a_paragraph_with_room() -> None:
    text = latex(table(columns=3, text=True), paper_of("text"))
    assert r">{\raggedright\arraybackslash}p{" in text and r"+\allowbreak{}" in text


def test_a_high_table_is_continued_under_the_same_number() -> None:
    text = latex(table(rows=120))
    parts = text.count(r"\begin{table*}")
    assert parts == 3 and text.count(r"\addtocounter{table}{-1}") == parts - 1
    assert text.count(r"\label{") == 1 and text.count("Measures, continued.") == parts - 1
    assert text.count("selector ") == 120


def test_a_table_without_rows_prints_nothing() -> None:
    assert latex(table(rows=0)) == "% Measures: the records have nothing to show here.\n"


def test_points_stand_below_points() -> None:
    columns: tuple[Column[str], ...] = (
        Column("Name", show=lambda row: row, numeric=False),
        Column("Mean", show=lambda row: {"a": "1.00 ± 0.50", "b": "2.00 ± 10.25", "c": "30.00", "d": "–"}[row]),
        Column("Interval", show=lambda row: {"a": "[1.0, 2.0]", "b": "[−1.0, 10.0]", "c": "–", "d": "[0.0, 0.0]"}[row]),
    )
    text = latex(Table("t", "T", columns, [Block("", list("abcd"))]))
    assert r"a & 1.00 $\pm$ \phantom{0}0.50 & [1.0, \phantom{0}2.0] \\" in text
    assert r"b & 2.00 $\pm$ 10.25 & [$-$1.0, 10.0] \\" in text
    assert r"c & 30.00\phantom{ $\pm$ 00.00} & \multicolumn{1}{c@{}}{--} \\" in text
    assert r"d & \multicolumn{1}{c}{--} & [0.0, \phantom{0}0.0] \\" in text


def test_what_tex_would_join_stays_apart() -> None:
    assert escape_latex("a--b '' ?`") == r"a-{}-b '{}' ?{}\`{}"
    assert escape_latex("Gödel β 网") == r"G\"{o}del $\beta$ [U+7F51]"
