"""All parts of this package keep opselect's promises: `pytest` in this folder, after `pip install -e .`."""

import pytest

from opselect.bench.conformance.run import Check, checks

PARTS = {
    "selectors": "rank-vote",
    "scores": "loss-perturbation",
    "proxies": "effective_rank",
    "spaces": "triangle",
    "tables": "triangle",
}


@pytest.mark.parametrize("check", [check for kind, name in PARTS.items() for check in checks(kind, name)], ids=str)
def test_promises(check: Check) -> None:
    check.run()
