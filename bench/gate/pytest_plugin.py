"""A pytest plug-in: a test of three lines compares a selector with a baseline.

    def test_my_selector(opselect_baseline):
        opselect_baseline("experiments/mine.toml", "baselines/mine")

It runs the experiment in a temporary folder. If anything changed for the worse against the run in
`baselines/mine`, or if the two cannot be compared, the test fails with the output of `opselect check`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from opselect.bench.gate.compare import Finding


@pytest.fixture
def opselect_baseline(tmp_path: Path) -> "Callable[..., list[Finding]]":
    """`opselect_baseline(experiment, baseline)` runs one and compares it with the other.

    Arguments of the function:
        experiment: Path of an experiment file.
        baseline: Folder that `opselect run` has written.
        level: Chance of any false alarm, over all selectors and measures together.
        cost_tolerance: How many times slower a search may be.
        statistical: Whether to judge means even where records should be equal to the last bit.
        workers: Number of worker processes.

    It returns one finding per selector of the baseline.
    """

    def gate(
        experiment: str | Path,
        baseline: str | Path,
        level: float = 0.05,
        cost_tolerance: float = 2.0,
        statistical: bool = False,
        workers: int = 1,
    ) -> "list[Finding]":
        # Imported when it is used, so that other tests do not pay for torch.
        from opselect.bench.experiment.study import read_study
        from opselect.bench.gate.compare import check, markdown, status_of
        from opselect.bench.runs import runner
        from opselect.bench.runs.run import Run, load_run

        wanted = read_study(Path(experiment)).only
        summary = runner.run(wanted, tmp_path / "opselect", workers, lambda *_: None)
        findings = check(
            Run.of(summary.records, wanted.labels, summary.networks),
            load_run(Path(baseline)),
            level,
            cost_tolerance,
            statistical,
        )
        if status_of(findings):
            pytest.fail(markdown(findings, str(experiment), str(baseline)), pytrace=False)
        return findings

    return gate
