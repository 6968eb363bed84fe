"""Our own components pass their checks, and what is registered is checked as what it is."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from opselect.bench.conformance.run import Check, CheckFailed, NotApplicable, checks
from opselect.selectors.methods import Magnitude
from opselect.selectors.proxies.nwot import nwot
from opselect.selectors.task import Selection, Task
from opselect.spaces import registry
from opselect.spaces.images import LabelledImages
from opselect.spaces.registry import expected_failure

QUICK = {"magnitude", "sdarts-rs", "by-score", "random", "best-acc", "avg-acc"}
QUICK |= {"alpha", "best-accuracy", "avg-accuracy", "nwot", "params", "fisher", "te_nas", "az_nas"}
QUICK |= {"darts", "fixed-alpha", "sdarts-rs", "msg-das"}
REQUIRED = {"by-score": {"score": "alpha"}}


def components() -> list[Any]:
    """Every registered selector, supernet training, score, proxy and combination."""
    return [
        pytest.param(kind, name, id=f"{kind}-{name}", marks=[] if name in QUICK else [pytest.mark.slow])
        for kind in ("selectors", "supernets", "scores", "proxies", "combinations")
        for name in registry.names(kind)
    ]


def broken(found: tuple[Check, ...]) -> dict[str, str]:
    """By name, the sentences of the checks that fail."""
    sentences = {}
    for check in found:
        try:
            check.verify()
        except NotApplicable:
            continue
        except CheckFailed as sentence:
            sentences[check.name] = str(sentence)
    return sentences


@pytest.mark.parametrize(("kind", "name"), components())
def test_our_own_components_pass_their_checks(kind: str, name: str) -> None:
    assert broken(checks(kind, name, REQUIRED.get(name))) == {}


def test_a_good_selector_next_to_the_bad_ones_is_not_caught(registered: Callable[[str, object], str]) -> None:
    class Good(Magnitude):
        """As magnitude."""

    assert broken(checks("selectors", registered("selectors", Good))) == {}


@expected_failure("larger is better", "a test says so")
def excepted(network: nn.Module, batch: LabelledImages) -> float:
    return -nwot(network, batch)


def test_an_expected_failure_is_not_applicable(
    registered: Callable[[str, object], str],
) -> None:
    found = {each.name: each for each in checks("proxies", registered("proxies", excepted))}
    with pytest.raises(NotApplicable, match="its author says: a test says so"):
        found["larger is better"].run()
    assert broken(tuple(found.values())) == {}


@pytest.mark.parametrize(("kind", "part"), [("scores", 3), ("combinations", nwot), ("proxies", "text")])
def test_what_is_of_another_kind_is_refused(kind: str, part: object, registered: Callable[[str, object], str]) -> None:
    with pytest.raises(CheckFailed, match="expected a"):
        checks(kind, registered(kind, part))


def test_slow_settings_are_made_small_unless_they_are_given(registered: Callable[[str, object], str]) -> None:
    seen = []

    class Recording(Magnitude):
        candidates: int = 10
        batch_size: int = 2
        tuning_epochs: int = 5

        def __call__(self, task: Task) -> Selection:
            seen.append((self.candidates, self.batch_size, self.tuning_epochs))
            return super().__call__(task)

    checks("selectors", registered("selectors", Recording), {"tuning_epochs": 3})[0].run()
    assert seen == [(2, 2, 3)]
