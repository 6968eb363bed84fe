"""Every LaTeX table compiles with the packages that it names, in one column and in two, without an overfull line."""

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.report import page
from opselect.bench.report.latex import PRESETS, escape_latex, latex, paper_of
from opselect.bench.report.render import Block, Column, Table
from opselect.bench.report.sections import overview, proxies
from opselect.bench.report.type_widths import SIZES, text_width
from opselect.bench.runs.run import load_run, load_study_run
from opselect.bench.statistics.correlations import RankCorrelation

RESULTS = Path(__file__).parents[3] / "results"
# The gate's run has the tables of digits201 with fewer trials; its own are compiled among the slow tests.
RUNS = ("gate", "darts/full", "nasbench201/scores")
ENCODINGS = ("", r"\usepackage[T1]{fontenc}")
# A document of one column is as wide as a text of NeurIPS, one of two columns as those of ICML.
DOCUMENTS = {
    "one column": r"\documentclass{article}\textwidth5.5in",
    "two columns": r"\documentclass[twocolumn]{article}\textwidth6.75in\columnsep.25in",
}


def compiled(document: str, folder: Path) -> str:
    """What pdflatex prints for a document."""
    if shutil.which("pdflatex") is None:
        if os.environ.get("OPSELECT_LATEX") == "required":
            pytest.fail("pdflatex is not installed, but OPSELECT_LATEX=required")
        pytest.skip("pdflatex is not installed; apt-get install texlive-latex-recommended")
    (folder / "paper.tex").write_text(document, encoding="utf-8")
    # A draft needs no glyphs; log lines would break at 79 characters.
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "paper.tex"]
    environment = {**os.environ, "max_print_line": "10000"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True).stdout.decode(errors="replace")


def faults(texts: Iterable[str], kind: str, encoding: str, folder: Path) -> list[str]:
    """Errors and overfull lines in a document with nothing but tables."""
    files = list(texts)
    packages = sorted({name for text in files for name in re.findall(r"^% Needs \\usepackage\{(.*?)\}", text)})
    lines = [DOCUMENTS[kind], *(rf"\usepackage{{{name}}}" for name in packages), encoding, r"\textheight8.9in"]
    lines += [r"\begin{document}", *(text + r"\clearpage" for text in files), r"\end{document}"]
    printed = compiled("\n".join(lines), folder).splitlines()
    assert printed[-1].startswith("Transcript written"), printed[-20:]
    return [line for line in printed if line.startswith(("!", "Overfull", "LaTeX Warning: Float too large"))]


def proxy_tables() -> list[Table[Any]]:
    """The tables of the proxy study, from their CSV files: the accuracies are not in the repository."""
    tables: list[Table[Any]] = []
    for path in sorted((RESULTS / "nasbench201" / "proxies" / "tables").glob("proxies-*.csv")):
        rows = []
        for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            numbers = {name: float(text) if text else None for name, text in line.items() if name != "proxy"}
            spearman, kendall = (
                RankCorrelation(
                    *(numbers[f"{name}_{part}"] for part in ("value", "low", "high")), n=int(line[f"{name}_n"])
                )
                for name in ("spearman", "kendall")
            )
            undefined, top, best = int(line["undefined"]), numbers["top_precision"], numbers["best"]
            rows.append(proxies.ProxyRow(line["proxy"], spearman, kendall, undefined, top, best))
        tables.append(proxies._proxy_table("test accuracy", rows, path.stem))
    return tables


def all_tables(names: Sequence[str] = RUNS) -> list[Table[Any]]:
    """The tables of the committed runs, of a study's overview and of a proxy study."""
    runs = [load_run(RESULTS / name) for name in names]
    study = load_study_run(RESULTS / "darts" / "subspaces")
    assert study is not None
    sections = [section for run in runs for section in (*page.reproducible_sections(run), *page.timing_sections(run))]
    sections += overview.overview_sections(list(study.runs.values()))
    return [*page._tables_of(sections), *proxy_tables()]


def distinct(texts: Sequence[str]) -> list[str]:
    """The same texts with labels that no two share."""
    return [re.sub(r"\\label\{tab:", rf"\\label{{tab:{place}-", text) for place, text in enumerate(texts)]


def test_every_table_compiles_in_one_column_and_in_two(tmp_path: Path) -> None:
    tables = all_tables()
    assert len(tables) > 50
    texts = {layout: [latex(table, paper_of(layout)) for table in tables] for layout in ("column", "text", "full")}
    # A table is no wider than its layout where the document has a place of just that width.
    places = {"one column": ("text",), "two columns": ("column", "text", "full")}
    for kind, layouts in places.items():
        for encoding in ENCODINGS:
            files = distinct([text for layout in layouts for text in texts[layout]])
            assert faults(files, kind, encoding, tmp_path) == [], (kind, encoding)


@pytest.mark.slow
def test_every_table_compiles_with_notes_and_presets(tmp_path: Path) -> None:
    tables = all_tables(["digits201", *RUNS])
    for preset in PRESETS:
        for notes in (False, True):
            texts = distinct([latex(table, paper_of(preset=preset, notes=notes)) for table in tables])
            kind = "one column" if preset == "neurips" else "two columns"
            wide = [text for text in texts if "6.875" not in text.split("\n")[0]]
            for encoding in ENCODINGS:
                assert faults(wide, kind, encoding, tmp_path) == [], (preset, notes, encoding)


def test_every_name_compiles(tmp_path: Path) -> None:
    names = [
        "".join(map(chr, range(33, 127))),
        "--- '' ,, ?` !` ``x''",
        "β-DARTS λ=0.1, naïve Gödel, Čech, ±1 ≤ 2 × 3 ↑↓→ … ⁿ ∞",
        "网络 🙂 ﬁ þ đ « ß \u202e \x00 \\n",
        "[1] *",
        "a" * 300,
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|" * 5,
        "% \\end{document} \\input{x} ^^5c",
    ]
    tables = []
    for name in names:
        columns: tuple[Column[str], ...] = (
            Column(name, show=lambda row: row, numeric=False),
            Column("Value", name[:5], show=lambda _: "1.00 ± 0.10"),
        )
        tables.append(Table(name, name, columns, [Block(name, [name, f"{name} {name}"])], notes=(name,), legend=name))
    texts = distinct([latex(table, paper_of("text", notes=True)) for table in tables])
    # A caption is a text of its own, in which LaTeX may break no line.
    texts = [re.sub(r"\\caption\{.*\}", r"\\caption{A name.}", text) for text in texts]
    for encoding in ENCODINGS:
        assert faults(texts, "one column", encoding, tmp_path) == []
        captions = [rf"\sloppy {escape_latex(name)}\par" for name in names if len(name) < 100 and " " in name]
        assert faults(captions, "one column", encoding, tmp_path) == []


def test_widths_are_those_of_type_and_never_too_small(tmp_path: Path) -> None:
    texts = ["87.12 ± 0.43", "[−0.12, 10.35]", "zero-cost-pt (nwot)", "The quick brown Fox, 100 %", "WAVE <1|2> …"]
    cases = [(text, size, bold) for text in texts for size in SIZES for bold in (False, True)]
    for encoding in ENCODINGS:
        lines = [DOCUMENTS["one column"], encoding, r"\begin{document}"]
        for text, size, bold in cases:
            series = r"\bfseries" if bold else ""
            boxed = rf"\hbox{{\fontsize{{{size}}}{{{size}}}\selectfont{series} {escape_latex(text)}}}"
            lines.append(rf"\setbox0{boxed}\typeout{{WIDTH \the\wd0}}")
        printed = compiled("\n".join([*lines, r"\end{document}"]), tmp_path)
        widths = [float(width) for width in re.findall(r"^WIDTH ([\d.]+)pt", printed, re.MULTILINE)]
        assert len(widths) == len(cases)
        for (text, size, bold), width in zip(cases, widths, strict=True):
            assert width <= text_width(text, size, bold) <= (1.2 if bold else 1.06) * width, (text, size, bold)
