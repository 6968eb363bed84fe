"""Records in, a folder of tables, figures and pages out."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from opselect.bench.report.network_tables import papers_table
from opselect.bench.report.overview import sections
from opselect.bench.report.page import reproducible_sections, timing_sections, to_html, to_markdown
from opselect.bench.report.render import Table, csv_text, file_name, latex
from opselect.bench.report.tables import environment_table, reproducible_tables, timing_table
from opselect.bench.runs.run import Run, StudyRun
from opselect.spaces import registry
from opselect.spaces.files import atomic_write
from opselect.spaces.space import Architecture, SearchSpace


def write_report(run: Run, folder: Path) -> list[Path]:
    """Write everything: `report.md`, `report.html`, `timing.md`, and the folders `tables` and `figures`.

    Every selected genotype is drawn in a file of its own in `figures/cells`.

    Args:
        run: Run that the report is about.
        folder: Folder that is made if it is missing; files of an earlier report are replaced.

    Returns:
        The files, in the order of their names.
    """
    # The figures are the one part that needs seconds and a drawing library.
    from opselect.bench.report.figures import cells_drawn, draw

    sections = reproducible_sections(run)
    timed = timing_sections(run)
    papers = [table for table in [papers_table(run)] if table.data]
    figures = [figure.name for section in (*sections, *timed) for figure in section.figures]
    texts = {
        **render_tables(run),
        **table_files([*papers, timing_table(run), environment_table(run)]),
        "report.md": to_markdown(run.title, {}, sections),
        "timing.md": to_markdown(f"{run.title}: times and machines", {}, timed),
    }
    files = {name: text.encode() for name, text in texts.items()}
    images: dict[str, bytes] = {}
    for name in figures:
        images[name], files[f"figures/{name}.pdf"] = draw(name, run)
        files[f"figures/{name}.png"] = images[name]
    for name, space, architecture in _genotypes(run):
        png, pdf = cells_drawn(space, architecture, ("png", "pdf"))
        files |= {f"figures/cells/{name}.png": png, f"figures/cells/{name}.pdf": pdf}
    files["report.html"] = to_html(run.title, {}, (*sections, *timed), images).encode()
    return [write_file(folder / name, files[name]) for name in sorted(files)]


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


def write_overview(study: StudyRun, folder: Path) -> list[Path]:
    """Write `overview.md`, `overview.html`, and what belongs to them in the folders `tables` and `figures`.

    Args:
        study: with at least one run.
        folder: made if it is missing; files of an earlier overview are replaced.

    Returns:
        The files, in the order of their names.
    """
    from opselect.bench.report.figures import errors_drawn

    parts = list(study.runs.values())
    told = sections(parts)
    preface = {"Reports of the single runs": ", ".join(study.runs)}
    files = {name: text.encode() for name, text in table_files(table for part in told for table in part.tables).items()}
    files["overview.md"] = to_markdown(study.title, preface, told).encode()
    images: dict[str, bytes] = {}
    for figure in (figure for part in told for figure in part.figures):
        images[figure.name], files[f"figures/{figure.name}.pdf"] = errors_drawn(parts)
        files[f"figures/{figure.name}.png"] = images[figure.name]
    files["overview.html"] = to_html(study.title, preface, told, images).encode()
    return [write_file(folder / name, files[name]) for name in sorted(files)]


def render_tables(run: Run) -> dict[str, str]:
    """The text of every reproducible table file, by its name relative to the report's folder; no times."""
    return table_files(reproducible_tables(run).values())


def render_markdown(run: Run) -> str:
    """The text of `report.md`, without drawing anything."""
    return to_markdown(run.title, {}, reproducible_sections(run))


def table_files(tables: Iterable[Table]) -> dict[str, str]:
    """The text of the CSV and LaTeX files of tables, by name relative to the report's folder."""
    files = {}
    for table in tables:
        files[f"tables/{file_name(table.name)}.csv"] = csv_text(table)
        files[f"tables/{file_name(table.name)}.tex"] = latex(table)
    return files


def write_file(path: Path, content: bytes) -> Path:
    """The path, after writing the content there, completely or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path
