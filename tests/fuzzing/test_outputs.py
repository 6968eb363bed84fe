"""Names stay names in every output: HTML, LaTeX, Markdown, CSV, figures and the names of files."""

import io
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from opselect.bench.report.latex import escape_latex, latex
from opselect.bench.report.page import table_files, to_html, to_markdown
from opselect.bench.report.render import (
    Block,
    Cell,
    Column,
    Figure,
    Section,
    Table,
    csv_text,
    escape_markdown,
    file_name,
    markdown,
)
from opselect.spaces.errors import printable

NASTY = (
    "<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7*7 }}", "{% for %}",
    r"\input{/etc/passwd}", r"$\frac{",
    "100 % & _ ^ ~ #", "two\nlines", "\u202eabc", "\u200b", "|", "a|b|", "`code`", "```", "[x](y)",
    "![x](y)", "[1em]", "*",
    "* x", "- x", "1. x", "= x", "=1+1", "+1", "-1", "@SUM(A1)", "../../x", "a/b", "\x00",
    "\ud800", "\x1b[2J", "漢字", "é", "😀",
    "&lt;", "-->", "]]>", "\\", "\\\\", "^^5c", "", " ", "'quoted'", '"', "a,b", "x" * 300,
)  # fmt: skip
NAMES = st.sampled_from(NASTY) | st.text(max_size=30) | st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Line:
    """A line of a CSV file."""

    label: str
    value: float


def table_of(name: str) -> Table[Any]:
    """A table in which a name stands wherever one can."""
    return Table(
        name=name,
        title=name,
        columns=(
            Column(name, show=lambda row: row[0], numeric=False),
            Column("Regret", name, "↓", show=lambda row: row[1]),
        ),
        blocks=(Block(name, ((name, Cell("1.50", "best")), (Cell(name, "runner-up"), name))),),
        notes=(name,),
        data=[Line(name, -1.5)],
    )


class Structure(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(name: str) -> Structure:
    """The page of a report in which everything is called so."""
    sections = [Section(name, (name,), (Figure("cells", name),), (table_of(name),))]
    page = to_html(name, {name: name}, sections, {"cells": b"png"})
    page.encode()
    structure = Structure()
    structure.feed(page)
    return structure


@FEW
@given(NAMES)
def test_html_has_the_same_tags_and_attributes_whatever_things_are_called(name: str) -> None:
    plain, found = page_of("x"), page_of(name or "x")
    # Long texts get a class, which is an attribute of ours.
    known = set(plain.tags) | {("td", ("class",)), ("td", ())}
    assert set(found.tags) <= known
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert printable(name) in found.text


@FEW
@given(NAMES)
def test_latex_has_no_special_character_of_a_name(name: str) -> None:
    escaped = escape_latex(name)
    escaped.encode()
    # What remains after the commands that stand for characters are taken out must be harmless.
    commands = (
        r"""\$\\[a-z]+\$|\$-\$|\$\^n\$|\\[a-z]+\{\}|\\`\{\}|\\(['"`^~=.]|[a-zA-Z])\{[A-Za-z]\}|\\[{}&%$#_]|\{\}"""
    )
    rest = re.sub(commands, "", escaped)
    assert not set(rest) & set('\\{}&%$#_~^<>|"`')
    assert "\n" not in escaped


@FEW
@given(NAMES)
@example("\\\\")
def test_a_latex_table_has_its_cells_and_commands_whatever_things_are_called(name: str) -> None:
    text = latex(table_of(name))
    # Comments, which end with their line, hold notes as they are.
    body = re.sub(r"(?m)^%.*$", "", text)
    assert r"\input" not in body
    rows = [line for line in body.split("\n") if line.endswith(r" \\") and "multicolumn" not in line]
    # Where the name is too long, the other column is left out.
    separators = 0 if "% Left out" in text else 1
    assert all(len(re.findall(r"(?<!\\)&", row)) == separators for row in rows)
    label = re.search(r"\\label\{tab:([^}]*)\}", text)
    assert label is not None and re.fullmatch(r"[A-Za-z0-9_.-]+", label[1])
    for broken in re.findall(r"\\\\\s*(\S)", body):
        assert broken not in "[*", text


@FEW
@given(NAMES)
def test_a_markdown_table_keeps_its_columns_and_holds_no_tags(name: str) -> None:
    lines = markdown(table_of(name)).split("\n")
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == (5 if name else 4)  # the heading of the block
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", row))) == 3
    text = to_markdown(name, {name: name}, [Section(name, (name,), (Figure("cells", name),), (table_of(name),))])
    text.encode()
    bare = re.sub(r"\\.", "", text)
    assert set(re.findall(r"<[^>]*>", bare)) <= {"<u>", "</u>"}
    assert bare.count("](") == 1
    assert "`" not in bare


@example("- x")
@example("12. x")
@FEW
@given(NAMES)
def test_a_markdown_text_begins_no_list_or_heading(name: str) -> None:
    assert not re.match(r"[-+=#>]|[0-9]+[.)](\s|$)", escape_markdown(name))


@FEW
@given(NAMES)
def test_csv_files_come_back_from_pandas_and_begin_no_formula(name: str) -> None:
    text = csv_text(table_of(name))
    text.encode()
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype={"label": str})
    label = frame["label"].iloc[0] if len(frame) else ""
    assert not label.startswith(("=", "+", "-", "@"))
    assert label.removeprefix("'") in (
        printable(" ".join(name.split())),
        printable(" ".join(name.split())).removeprefix("'"),
    )
    assert frame["value"].tolist() == [-1.5]


@FEW
@given(NAMES)
def test_no_name_leads_out_of_the_folder_of_a_report(name: str) -> None:
    root = Path("/report")
    for path in table_files([table_of(name)]):
        parts = Path(path).parts
        assert len(parts) == 2 and parts[0] == "tables" and not parts[1].startswith(".")
        assert (root / path).resolve().is_relative_to(root / "tables")
        assert len(parts[1]) < 200
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", file_name(name))


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([name for name in NASTY if name.strip() and "\ud800" not in name]))
def test_figures_show_any_label_as_it_is(name: str) -> None:
    from opselect.bench.report.figures import draw_cells
    from opselect.spaces.nasbench201.space import digits201

    png, pdf = draw_cells(digits201, digits201.at(9000), ("png", "pdf"), name)
    assert png.startswith(b"\x89PNG") and pdf.startswith(b"%PDF")
