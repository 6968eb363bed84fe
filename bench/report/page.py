"""Reports: their sections in order, the sections' Markdown and HTML forms, and the files that are written."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from opselect.bench.proxy_study import Scores
from opselect.bench.report.latex import Paper, check_columns, latex
from opselect.bench.report.render import Section, Table, csv_text, escape_markdown, file_name, markdown
from opselect.bench.report.sections import (
    baseline,
    comparisons,
    costs,
    networks,
    overview,
    proxies,
    published,
    scores,
    selection,
    settings,
    trials,
)
from opselect.bench.runs.run import Run, StudyRun
from opselect.spaces import registry
from opselect.spaces.errors import printable
from opselect.spaces.files import atomic_write
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import Table as AccuracyTable


def reproducible_sections(run: Run) -> tuple[Section, ...]:
    """Declare, in order, all that the same records determine to the last byte."""
    return (
        Section(
            "Selected architectures",
            paragraphs=selection.findings(run),
            figures=selection.figures(run),
            tables=(
                selection.selection_table(run),
                baseline.chance_table(run),
                networks.networks_table(run),
                selection.transfer_table(run),
                published.published_table(run),
                comparisons.comparisons_table(run),
                networks.collapse_table(run),
            ),
        ),
        Section(
            "Operation scores",
            figures=scores.figures(run),
            tables=(scores.agreement_table(run), scores.steps_table(run), scores.correlations_table(run)),
        ),
        Section("Every trial", tables=(trials.trials_table(run), trials.failures_table(run))),
        Section(
            "Reproducibility",
            paragraphs=settings.repetition(run),
            tables=(settings.reproducibility_table(run), settings.settings_table(run), costs.searches_table(run)),
        ),
    )


def timing_sections(run: Run) -> tuple[Section, ...]:
    """Declare all that may differ between two runs of one experiment."""
    return (
        Section(
            "Times and machines",
            paragraphs=(
                "Only times, memory and machines may differ when the experiment is repeated, and they all stand here.",
            ),
            figures=costs.figures(run),
            tables=(
                networks.papers_table(run),
                costs.timing_table(run),
                costs.total_cost_table(run),
                baseline.budget_table(run),
                settings.environment_table(run),
            ),
        ),
    )


def to_markdown(title: str, preface: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Write sections as Markdown; figures are links to files in the folder `figures`.

    Args:
        title: Title of the page.
        preface: Names and values below the title.
        sections: Sections in order.
    """
    parts = [f"# {escape_markdown(title)}"]
    if preface:
        parts.append("\n".join(f"- {escape_markdown(k)}: {escape_markdown(str(v))}" for k, v in preface.items()))
    for section in sections:
        parts.append(f"## {escape_markdown(section.heading)}")
        parts.extend(escape_markdown(paragraph) for paragraph in section.paragraphs)
        parts.extend(
            f"![{escape_markdown(figure.caption)}](figures/{figure.name}.png)\n\n*{escape_markdown(figure.caption)}*"
            for figure in section.shown_figures
        )
        parts.extend(markdown(table).rstrip("\n") for table in section.shown_tables)
    return "\n\n".join(parts) + "\n"


def to_html(title: str, preface: Mapping[str, str], sections: Sequence[Section], images: Mapping[str, bytes]) -> str:
    """Write sections as one page that needs no other file and no script.

    Args:
        title: Title of the page.
        preface: Names and values below the title.
        sections: Sections in order.
        images: PNG file of every figure, by name.
    """
    # Not importlib.resources: before Python 3.13 it cannot read from a namespace package in an editable install.
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    encoded = {name: base64.b64encode(image).decode() for name, image in images.items()}
    page = environment.from_string(template)
    return page.render(title=title, preface=preface, sections=sections, images=encoded) + "\n"


def _printable(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def render_markdown(run: Run) -> str:
    """Write the text of `report.md`, without drawing anything."""
    return to_markdown(run.title, run.preface, reproducible_sections(run))


def render_tables(run: Run) -> dict[str, str]:
    """Write the text of every reproducible table file, by its name relative to the report's folder; no times."""
    return table_files(_tables_of(reproducible_sections(run)))


def _tables_of(sections: Iterable[Section]) -> list[Table[Any]]:
    """The tables that have files."""
    return [table for section in sections for table in section.tables if table.data or not table.optional]


def table_files(tables: Iterable[Table[Any]], paper: Paper | None = None) -> dict[str, str]:
    """Write the text of the CSV and LaTeX files of tables, by name relative to the report's folder."""
    files = {}
    for table in tables:
        files[f"tables/{file_name(table.name)}.csv"] = csv_text(table)
        files[f"tables/{file_name(table.name)}.tex"] = latex(table, paper)
    return files


def write_report(run: Run, folder: Path, paper: Paper | None = None) -> list[Path]:
    """Write a whole report: `report.md`, `report.html`, `timing.md`, and the folders `tables` and `figures`.

    Every selected genotype is drawn in a file of its own in `figures/cells`.

    Args:
        run: Run that the report is about.
        folder: Folder that is made if it is missing; files of an earlier report are replaced.
        paper: Width, columns and notes of the LaTeX tables.

    Returns:
        The files, in the order of their names.

    Raises:
        UnknownColumn: No table has the columns that the paper names.
        TableTooWide: These columns are wider than the paper.
    """
    sections, timed = reproducible_sections(run), timing_sections(run)
    tables = table_files(_checked_tables((*sections, *timed), paper), paper)
    return _write_report(run, sections, timed, tables, folder)


def write_study(study: StudyRun, folder: Path, paper: Paper | None = None) -> list[Path]:
    """Write the report of every run of a study, each in a folder of its name, and their overview.

    Args:
        study: Study with at least one run.
        folder: Folder that is made if it is missing; files of earlier reports are replaced.
        paper: Width, columns and notes of the LaTeX tables.

    Returns:
        The files, report by report, those of the overview last.

    Raises:
        UnknownColumn: No table of any report has the columns that the paper names.
        TableTooWide: These columns are wider than the paper.
    """
    reports = {name: (reproducible_sections(run), timing_sections(run)) for name, run in study.runs.items()}
    everything = [section for sections, timed in reports.values() for section in (*sections, *timed)]
    _checked_tables((*everything, *overview.overview_sections(list(study.runs.values()))), paper)
    tables = {name: table_files(_tables_of((*sections, *timed)), paper) for name, (sections, timed) in reports.items()}
    files = []
    for name, (sections, timed) in reports.items():
        files += _write_report(study.runs[name], sections, timed, tables[name], folder / name)
    return [*files, *write_overview(study, folder, paper)]


def _checked_tables(sections: Sequence[Section], paper: Paper | None) -> list[Table[Any]]:
    """The tables that have files, which have the columns that the paper names."""
    tables = _tables_of(sections)
    check_columns(tables, paper.columns if paper else ())
    return tables


def _write_report(
    run: Run, sections: Sequence[Section], timed: Sequence[Section], tables: Mapping[str, str], folder: Path
) -> list[Path]:
    # The figures are the one part that needs seconds and a drawing library.
    from opselect.bench.report.figures import draw, draw_cells

    everything = (*sections, *timed)
    texts = {
        **tables,
        "report.md": to_markdown(run.title, run.preface, sections),
        "timing.md": to_markdown(f"{run.title}: times and machines", {}, timed),
    }
    files = {name: text.encode() for name, text in texts.items()}
    images: dict[str, bytes] = {}
    for figure in (figure for section in everything for figure in section.shown_figures):
        images[figure.name], files[f"figures/{figure.name}.pdf"] = draw(figure.name, run)
        files[f"figures/{figure.name}.png"] = images[figure.name]
    for name, space, architecture in _genotypes(run):
        png, pdf = draw_cells(space, architecture, ("png", "pdf"))
        files |= {f"figures/cells/{name}.png": png, f"figures/cells/{name}.pdf": pdf}
    files["report.html"] = to_html(run.title, run.preface, everything, images).encode()
    return _write_files(folder, files)


def _genotypes(run: Run) -> Iterator[tuple[str, SearchSpace, Architecture]]:
    """Every selected genotype, under the name of its files: label and seed."""
    names: dict[str, str] = {}
    for label in run.labels:
        name = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-") or "selector"
        # Labels that differ in other signs only have files of their own all the same.
        names[label] = name if name not in names.values() else f"{name}-{len(names) + 1}"
        for seed, result in run.results(label).items():
            if result.cells:
                space: SearchSpace = registry.load("spaces", run.all[0].trial.space)
                yield f"{names[label]}-{seed}", space, space.parse(result.architecture)


def write_overview(study: StudyRun, folder: Path, paper: Paper | None = None) -> list[Path]:
    """Write `overview.md`, `overview.html`, and what belongs to them in the folders `tables` and `figures`.

    Args:
        study: Study with at least one run.
        folder: Folder that is made if it is missing; files of an earlier overview are replaced.
        paper: Width, columns and notes of the LaTeX tables.

    Returns:
        The files, in the order of their names.
    """
    from opselect.bench.report.figures import draw_overview

    runs = list(study.runs.values())
    sections = overview.overview_sections(runs)
    preface = {"Reports of the single runs": ", ".join(study.runs)}
    files = {name: text.encode() for name, text in table_files(_tables_of(sections), paper).items()}
    files["overview.md"] = to_markdown(study.title, preface, sections).encode()
    images: dict[str, bytes] = {}
    for figure in (figure for section in sections for figure in section.shown_figures):
        images[figure.name], files[f"figures/{figure.name}.pdf"] = draw_overview(figure.name, runs)
        files[f"figures/{figure.name}.png"] = images[figure.name]
    files["overview.html"] = to_html(study.title, preface, sections, images).encode()
    return _write_files(folder, files)


def write_proxy_report(study_scores: Scores, accuracies: AccuracyTable, folder: Path) -> list[Path]:
    """Write `proxies.md`, `proxies.html`, `timing.md` and the folder `tables`; times stand in `timing.md` alone.

    Args:
        study_scores: Scores of a proxy study.
        accuracies: Table of the accuracies with which they are compared.
        folder: Folder that is made if it is missing; files of an earlier report are replaced.

    Returns:
        The files, in the order of their names.
    """
    preface = proxies.preface(study_scores, accuracies)
    title = f"Zero-cost proxies on {study_scores.study.space}"
    agreement = Section("Agreement with accuracies", tables=proxies.proxy_tables(study_scores, accuracies))
    undefined = Section("Undefined scores", tables=(proxies.failure_table(study_scores),))
    costs = Section("What a score costs", tables=(proxies.cost_table(study_scores),))
    sections = (agreement, undefined) if undefined.shown_tables else (agreement,)
    texts = {
        "proxies.md": to_markdown(title, preface, sections),
        "proxies.html": to_html(title, preface, (*sections, costs), {}),
        "timing.md": to_markdown(f"{title}: times", {}, (costs,)),
        **table_files(_tables_of((agreement, undefined, costs))),
    }
    return _write_files(folder, {name: text.encode() for name, text in texts.items()})


def _write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    return [write_file(folder / name, files[name]) for name in sorted(files)]


def write_file(path: Path, content: bytes) -> Path:
    """Write a file completely or not at all, and return its path."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path
