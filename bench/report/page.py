"""What a report says, in order: sections of tables and figures, and their Markdown and HTML forms."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from opselect.bench.report import summaries, tables
from opselect.bench.report.formatting import mean_and_deviation
from opselect.bench.report.network_tables import papers_table
from opselect.bench.report.render import Table, escape_markdown, markdown, number
from opselect.bench.runs.run import Run
from opselect.spaces.errors import printable


@dataclass(frozen=True)
class Figure:
    """A figure: the name of its files, and what it shows."""

    name: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        heading: of the section.
        paragraphs: what it says first.
        figures: shown before the tables.
        tables: shown last.
    """

    heading: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


def reproducible_sections(trials: Run) -> tuple[Section, ...]:
    """All that the same records determine to the last byte."""
    table = tables.reproducible_tables(trials)
    has_accuracies = any(row.test_accuracy is not None for row in table["trials"].data)
    has_results = any(row.status == "done" for row in table["trials"].data)
    sections = [
        Section(
            "Selected architectures",
            _findings(trials),
            (
                *_figure(
                    has_accuracies,
                    "accuracy",
                    "Test accuracy of the selected architectures: a dot a seed, the mean with its 95 % interval.",
                ),
                *_figure(
                    has_results,
                    "cells",
                    "The architecture that each selector chose most often. Edges with the operation none are left out.",
                ),
            ),
            tuple(
                table[name]
                for name in ("selection", "networks", "transfer", "published", "paired", "collapse")
                if name in table
            ),
        ),
        Section(
            "Operation scores",
            figures=(
                *_figure(
                    bool(table["correlations"].data),
                    "correlations",
                    "Spearman between operation scores before anything is decided, mean over edges, then over seeds.",
                ),
                *_figure(
                    bool(table["steps"].data),
                    "steps",
                    "Spearman with best-acc over the open edges at every step: a thin line a seed, the mean bold.",
                ),
            ),
            tables=(table["agreement"], table["steps"], table["correlations"]),
        ),
        Section("Every trial", tables=(table["trials"], table["failures"])),
        Section("Reproducibility", _statement(trials), tables=(table["reproducibility"], table["settings"])),
    ]
    return tuple(_without_empty_tables(section) for section in sections)


def timing_sections(trials: Run) -> tuple[Section, ...]:
    """All that may differ between two runs of one experiment."""
    timed = any(row.test_accuracy.value is not None for row in summaries.selection(trials)) and summaries.timings(
        trials
    )
    section = Section(
        "Times and machines",
        ("Only times, memory and machines may differ when the experiment is repeated, and they all stand here.",),
        _figure(
            bool(timed),
            "accuracy_against_time",
            "Test accuracy against search time: a point a trial. Random choice and oracles search nothing: lines.",
        ),
        (papers_table(trials), tables.timing_table(trials), tables.environment_table(trials)),
    )
    return (_without_empty_tables(section),)


def _figure(shown: bool, name: str, caption: str) -> tuple[Figure, ...]:
    return (Figure(name, caption),) if shown else ()


def _without_empty_tables(section: Section) -> Section:
    kept = tuple(table for table in section.tables if table.shown_blocks)
    return Section(section.heading, section.paragraphs, section.figures, kept)


def _statement(trials: Run) -> tuple[str, ...]:
    """What a repetition may be expected to give."""
    devices = sorted({record.trial.device for record in trials.all})
    if not devices:
        return ()
    said = [
        "Every random number comes from a stream that the trial's seed and its purpose determine. The same code, "
        "settings, data, versions and kind of processor give all of this report again, byte for byte, but times, "
        "memory and machines, which stand in a section of their own.",
        "Not determined: on another kind of processor, with another number of threads or with other versions, sums may "
        "differ in their last bits; training amplifies that, so architectures and accuracies may differ as well.",
    ]
    if devices != ["cpu"]:
        said.append(
            f"Trials ran on {' and '.join(devices)}: on a GPU sums have no fixed order, so not even a repetition on "
            "the same machine is sure to give the same bits."
        )
    said.append("'opselect reproduce FOLDER' runs the experiment of a folder again and says what came out equal.")
    return tuple(said)


def _findings(trials: Run) -> tuple[str, ...]:
    rows = {row.label: row for row in summaries.selection(trials)}
    if not trials.all:
        return ("There are no records.",)
    failed = sum(row.failed for row in rows.values())
    found = [f"{len(trials.all)} trials, {failed} failed."]
    best = summaries.best_selector(list(rows.values()))
    if best is not None:
        regret = rows[best].regret.value
        below = "" if regret is None else f", {number(regret)} percentage points below the table's best architecture"
        found.append(
            f"Highest mean test accuracy: {best} with {mean_and_deviation(rows[best].test_accuracy)} %{below}."
        )
    return (" ".join(found),)


def to_markdown(title: str, preface: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The report as Markdown; figures are links to files beside it."""
    parts = [f"# {escape_markdown(title)}"]
    if preface:
        parts.append("\n".join(f"- {escape_markdown(k)}: {escape_markdown(str(v))}" for k, v in preface.items()))
    for section in sections:
        parts.append(f"## {escape_markdown(section.heading)}")
        parts.extend(escape_markdown(paragraph) for paragraph in section.paragraphs)
        parts.extend(
            f"![{escape_markdown(figure.caption)}](figures/{figure.name}.png)\n\n*{escape_markdown(figure.caption)}*"
            for figure in section.figures
        )
        parts.extend(markdown(table).rstrip("\n") for table in section.tables)
    return "\n\n".join(parts) + "\n"


def _printable(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def to_html(title: str, preface: Mapping[str, str], sections: Sequence[Section], images: Mapping[str, bytes]) -> str:
    """The report as one page that needs no other file and no script.

    Args:
        title: of the page.
        preface: names and values below the title.
        sections: in order.
        images: the PNG file of every figure, by name.
    """
    # Not importlib.resources: before Python 3.13 it cannot read from a namespace package in an editable install.
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    encoded = {name: base64.b64encode(image).decode() for name, image in images.items()}
    page = environment.from_string(template)
    return page.render(title=title, preface=preface, sections=sections, images=encoded) + "\n"
