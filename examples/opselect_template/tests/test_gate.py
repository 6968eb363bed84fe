"""What `experiment.toml` selects is no worse than in the baseline, by opselect's fixture `opselect_baseline`."""

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
EXPERIMENT, BASELINE = FOLDER / "experiment.toml", FOLDER / "baseline"


@pytest.mark.skipif(not BASELINE.exists(), reason=f"no baseline yet: opselect run {EXPERIMENT} --output {BASELINE}")
def test_nothing_is_worse_than_in_the_baseline(opselect_baseline: Callable[..., object]) -> None:
    # Times may differ tenfold, since other work may share the machine.
    opselect_baseline(EXPERIMENT, BASELINE, cost_tolerance=10)
