"""The committed reports are what the code of today makes of the committed records."""

from pathlib import Path

import pytest

from opselect.bench.report import page
from opselect.bench.runs.run import load_run

RESULTS = Path(__file__).parents[3] / "results"
RUNS = sorted(str(path.parent.relative_to(RESULTS)) for path in RESULTS.rglob("report.md"))


def test_there_are_committed_results() -> None:
    assert "digits201" in RUNS


@pytest.mark.parametrize("name", RUNS)
def test_committed_tables_are_remade_byte_for_byte(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(RESULTS / name)
    sections = page.reproducible_sections(run)
    monkeypatch.setattr(page, "reproducible_sections", lambda _: sections)  # computed once for tables and text
    tables = page.render_tables(run)
    assert tables
    for file, text in tables.items():
        assert (RESULTS / name / file).read_bytes() == text.encode(), file
    assert (RESULTS / name / "report.md").read_bytes() == page.render_markdown(run).encode()
    assert all(record.status == "done" for record in run.all)
    assert all(training.result for trainings in run.training_records.values() for training in trainings)
