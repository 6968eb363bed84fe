"""Every part that this package registers passes opselect's checks; the package has to be installed."""

from importlib.metadata import distribution

import pytest

from opselect.bench.conformance.run import Check, checks

ENTRY_POINTS = distribution("opselect-template").entry_points
PARTS = [(entry.group.removeprefix("opselect."), entry.name) for entry in ENTRY_POINTS]


@pytest.mark.parametrize("check", [check for kind, name in PARTS for check in checks(kind, name)], ids=str)
def test_conformance(check: Check) -> None:
    check.run()
