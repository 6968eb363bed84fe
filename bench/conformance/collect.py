"""The promises of selectors, scores, proxies and combinations, and `checks`, which has those of every kind of part.

A plug-in's own tests need three lines:

    @pytest.mark.parametrize("check", checks("selectors", "mine"), ids=str)
    def test_mine_keeps_the_promises(check):
        check.run()

Each promise is one small function (in `selectors`, `proxies` and `spaces` of this folder). Its first line says what
is promised, and it raises `CheckFailed` with one sentence, or `NotApplicable` with the reason.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from opselect.bench.conformance import proxies as proxy_promises
from opselect.bench.conformance import selectors as search_promises
from opselect.bench.conformance.check import Check, CheckFailed, NotApplicable, checks_of
from opselect.bench.conformance.spaces import SPACE_CHECKS, SpaceFixture
from opselect.bench.conformance.tables import IMAGES_CHECKS, TABLE_CHECKS, ImagesFixture, TableFixture
from opselect.bench.conformance.tasks import small_task
from opselect.bench.runtime.parallel import use_single_thread
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import Combination, Proxy
from opselect.selectors.task import RegisteredScore, Selection, Selector, Task
from opselect.spaces import registry
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

LARGEST_SETTINGS = {"candidates": 2, "validation_batches": 1, "batch_size": 2, "tuning_epochs": 1}
"""Settings that make a search slow, and what they are at most while it is checked, where a selector has them."""

__all__ = ["Check", "CheckFailed", "NotApplicable", "check_proxy", "check_selector", "checks"]


def checks(kind: str, name: str, settings: Mapping[str, Any] | None = None) -> tuple[Check, ...]:
    """The promises of whatever is registered under a name, each ready to be checked.

    The process gets one torch thread from here on: with more, tiny networks take many times as long.

    Args:
        kind: one of `opselect.spaces.registry.KINDS`.
        name: registered.
        settings: of a selector; those that make a search slow are small if they are not given.

    Raises:
        UnknownName: nothing has this name.
        MissingData: images or a table are not there.
        CheckFailed: what is registered is of another kind.
    """
    use_single_thread()
    component, subject = registry.load(kind, name), f"{registry.SINGULAR[kind]} {name!r}"
    match kind:
        case "selectors":
            return _selector_checks(subject, component, dict(settings or {}))
        case "scores":
            _expect_kind(subject, component, RegisteredScore)
            fixture = search_promises.ScoreFixture(component)
            return checks_of(
                subject,
                component.score,
                fixture,
                (*search_promises.SCORE_PROMISES, *search_promises.PERMUTED_AND_PLANTED),
            )
        case "proxies":
            _expect_kind(subject, component, Callable)
            return checks_of(
                subject,
                component,
                _proxy_fixture(component),
                (*proxy_promises.PROXY_PROMISES, proxy_promises.larger_is_better),
            )
        case "combinations":
            _expect_kind(subject, component, Combination)
            return checks_of(
                subject, component, proxy_promises.CombinationFixture(component), proxy_promises.COMBINATION_PROMISES
            )
        case "spaces":
            return checks_of(subject, component, SpaceFixture(component, name), SPACE_CHECKS)
        case "tables":
            return checks_of(subject, component, TableFixture(component(), component), TABLE_CHECKS)
        case _:
            return checks_of(subject, component, ImagesFixture(component(), component), IMAGES_CHECKS)


def _selector_checks(subject: str, component: Any, settings: dict[str, Any]) -> tuple[Check, ...]:
    fields = getattr(component, "model_fields", {})
    small = {
        key: most
        for key, most in LARGEST_SETTINGS.items()
        if key in fields and isinstance(fields[key].default, int) and fields[key].default > most
    }
    selector = component(**(small | settings))
    _expect_kind(subject, selector, Selector)
    fixture = search_promises.SelectorFixture(selector, lambda: small_task(selector.supernet_state))
    extra = (search_promises.settings_survive_a_file, *search_promises.PERMUTED_AND_PLANTED)
    return checks_of(subject, selector, fixture, (*search_promises.SELECTOR_PROMISES, *extra))


def _proxy_fixture(proxy: Proxy) -> proxy_promises.ProxyFixture:
    cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    return proxy_promises.ProxyFixture(
        proxy,
        digits201.network(digits201.parse(cell), 1, 10, seed=0),
        digits201.supernet(1, 10, seed=0),
        weights,
        digits().train[:32],
    )


def _expect_kind(subject: str, component: object, kind: Any) -> None:
    if not isinstance(component, kind):
        raise CheckFailed(f"{subject}: it is a {type(component).__name__}, expected a {kind.__name__}")


def check_selector(selector: Selector, make_task: Callable[[], Task]) -> Selection:
    """Check what a selector promises on every task, on a task of your own.

    Args:
        selector: what to check.
        make_task: builds the same task, with a supernet of its own, every time; the task observes nothing.

    Returns:
        What it selected.

    Raises:
        CheckFailed: with one sentence about what was observed.
    """
    fixture = search_promises.SelectorFixture(selector, make_task)
    for promise in search_promises.SELECTOR_PROMISES:
        promise(fixture)
    return fixture.run.selection


def check_proxy(proxy: Proxy, network: nn.Module, supernet: nn.Module, weights: Tensor, batch: LabelledImages) -> None:
    """Check what a proxy promises of every network, on networks of your own.

    Args:
        proxy: what to check.
        network: a stand-alone network.
        supernet: of any space.
        weights: for the supernet; at least one operation has weight zero.
        batch: a few images.

    Raises:
        CheckFailed: with one sentence about what was observed.
    """
    fixture = proxy_promises.ProxyFixture(proxy, network, supernet, weights, batch)
    for promise in proxy_promises.PROXY_PROMISES:
        with suppress(NotApplicable):
            promise(fixture)
