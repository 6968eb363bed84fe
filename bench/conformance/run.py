"""Running the checks of a registered component, and their outcomes.

A plug-in's own tests need three lines:

    @pytest.mark.parametrize("check", checks("selectors", "mine"), ids=str)
    def test_mine(check):
        check.run()

Each check is one small function (in `selectors`, `proxies`, `spaces` and `tables` of this folder). Its first line says
what is checked, and it raises `CheckFailed` with one sentence, or `NotApplicable` with the reason.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from opselect.bench.conformance.check import Check, CheckFailed, NotApplicable, checks_of
from opselect.bench.conformance.proxies import (
    COMBINATION_CHECKS,
    PROXY_CHECKS,
    CombinationFixture,
    ProxyFixture,
    larger_is_better,
)
from opselect.bench.conformance.selectors import (
    PERMUTED_AND_PLANTED,
    SCORE_CHECKS,
    SELECTOR_CHECKS,
    ScoreFixture,
    SelectorFixture,
    settings_survive_a_file,
)
from opselect.bench.conformance.spaces import SPACE_CHECKS, SpaceFixture
from opselect.bench.conformance.supernets import SUPERNET_CHECKS, SupernetFixture
from opselect.bench.conformance.tables import IMAGES_CHECKS, TABLE_CHECKS, ImagesFixture, TableFixture
from opselect.bench.conformance.tasks import small_task
from opselect.bench.experiment.file import InvalidExperiment
from opselect.bench.runtime.parallel import use_single_thread
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import Combination, Proxy
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.task import RegisteredScore, Selection, Selector, Task
from opselect.spaces import registry
from opselect.spaces.digits import digits
from opselect.spaces.errors import UserError, in_one_line
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

LARGEST_SETTINGS = {"candidates": 2, "validation_batches": 1, "batch_size": 2, "tuning_epochs": 1}
"""Largest values of settings that make a search slow, for the time of the checks; other settings stay."""

Status = Literal["kept", "broken", "not applicable"]

__all__ = ["Check", "CheckFailed", "NotApplicable", "check_proxy", "check_selector", "checks", "examine"]


def checks(kind: str, name: str, settings: Mapping[str, Any] | None = None) -> tuple[Check, ...]:
    """The checks of the component that is registered under a name, each ready to run.

    The process uses one torch thread from here on: with more, tiny networks take many times as long.

    Args:
        kind: One of `opselect.spaces.registry.KINDS`.
        name: Registered name.
        settings: Settings of a selector; those that make a search slow are small if they are not given.

    Returns:
        The checks, in the order in which `opselect conformance` prints them.

    Raises:
        UnknownName: Nothing has this name.
        MissingData: Images or a table are not there.
        CheckFailed: What is registered is of another kind.
        ValidationError: The settings are not those of the selector.

    Example:
        >>> for check in checks("proxies", "params")[:1]:
        ...     check.run()
        ...     print(check)
        proxy 'params': answer is a number
    """
    use_single_thread()
    component, subject = registry.load(kind, name), f"{registry.SINGULAR[kind]} {name!r}"
    match kind:
        case "selectors":
            selector = component(**(_quick_settings(component) | dict(settings or {})))
            _expect_kind(subject, selector, Selector)
            selector_fixture = SelectorFixture(selector, lambda: small_task(selector.needs))
            every = (*SELECTOR_CHECKS, settings_survive_a_file, *PERMUTED_AND_PLANTED)
            return checks_of(subject, selector, selector_fixture, every)
        case "supernets":
            training = component(**({"epochs": 1, "batch_size": 16} | dict(settings or {})))
            _expect_kind(subject, training, SupernetTraining)
            return checks_of(subject, training, SupernetFixture(training), SUPERNET_CHECKS)
        case "scores":
            _expect_kind(subject, component, RegisteredScore)
            return checks_of(subject, component.score, ScoreFixture(component), (*SCORE_CHECKS, *PERMUTED_AND_PLANTED))
        case "proxies":
            _expect_kind(subject, component, Callable)
            return checks_of(subject, component, _proxy_fixture(component), (*PROXY_CHECKS, larger_is_better))
        case "combinations":
            _expect_kind(subject, component, Combination)
            return checks_of(subject, component, CombinationFixture(component), COMBINATION_CHECKS)
        case "spaces":
            return checks_of(subject, component, SpaceFixture(component, name), SPACE_CHECKS)
        case "tables":
            return checks_of(subject, component, TableFixture(component(), component), TABLE_CHECKS)
        case _:
            return checks_of(subject, component, ImagesFixture(component(), component), IMAGES_CHECKS)


def _quick_settings(selector: Any) -> dict[str, int]:
    fields = getattr(selector, "model_fields", {})
    return {
        key: most
        for key, most in LARGEST_SETTINGS.items()
        if key in fields and isinstance(fields[key].default, int) and fields[key].default > most
    }


def _proxy_fixture(proxy: Proxy) -> ProxyFixture:
    cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(digits201.parse(cell), 1, 10, seed=0)
    return ProxyFixture(proxy, network, digits201.supernet(1, 10, seed=0), weights, digits().train[:32])


def _expect_kind(subject: str, component: object, kind: Any) -> None:
    if not isinstance(component, kind):
        raise CheckFailed(f"{subject}: it is a {type(component).__name__}, expected a {kind.__name__}")


def check_selector(selector: Selector, make_task: Callable[[], Task]) -> Selection:
    """Run the checks of selectors that hold on every task, on a task of your own.

    Args:
        selector: Selector to check.
        make_task: Builds the same task, with a supernet of its own, on every call; the task records no further scores.

    Returns:
        The selection of the first call.

    Raises:
        CheckFailed: A check fails; the message is one sentence about what was observed.
    """
    fixture = SelectorFixture(selector, make_task)
    for check in SELECTOR_CHECKS:
        check(fixture)
    return fixture.run.selection


def check_proxy(proxy: Proxy, network: nn.Module, supernet: nn.Module, weights: Tensor, batch: LabelledImages) -> None:
    """Run the checks of proxies that hold for every network, on networks of your own.

    Args:
        proxy: Proxy to check.
        network: Stand-alone network.
        supernet: Supernet of any space.
        weights: Weights for the supernet, `[edges, operations]`; at least one operation has weight zero.
        batch: A few images.

    Raises:
        CheckFailed: A check fails; the message is one sentence about what was observed.
    """
    fixture = ProxyFixture(proxy, network, supernet, weights, batch)
    for check in PROXY_CHECKS:
        with suppress(NotApplicable):
            check(fixture)


@dataclass(frozen=True)
class Outcome:
    """Result of one check; its fields are the keys of `opselect conformance NAME --json`.

    Attributes:
        kind: Kind of the component, as `opselect list` calls it.
        name: Registered name of the component.
        check: Name of the check.
        promise: Sentence that says what is checked.
        status: Whether the check passes, fails or does not apply.
        sentence: What was observed, or why the check does not apply; empty where it passes.
        seconds: Duration of the check in seconds.
    """

    kind: str
    name: str
    check: str
    promise: str
    status: Status
    sentence: str
    seconds: float


def examine(kind: str, name: str, settings: Mapping[str, Any]) -> Iterator[Outcome]:
    """Run the checks of a component, one after the other.

    Args:
        kind: One of `opselect.spaces.registry.KINDS`.
        name: Registered name.
        settings: Settings of a selector.

    Yields:
        The outcome of each check, or one outcome that says why the component cannot be loaded.

    Raises:
        UnknownName: Nothing of the kind has the name.
        MissingData: Images or a table are not there.
        InvalidExperiment: The settings are wrong.
    """
    subject = f"{registry.SINGULAR[kind]} {name!r}"
    try:
        component_checks = checks(kind, name, settings)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InvalidExperiment(f"{subject}: {where}: {problem['msg']}; give it with --set {where}=VALUE") from None
    except UserError:
        raise
    except Exception as error:
        sentence = str(error) if isinstance(error, CheckFailed) else f"loading it raised {_raised(error)}"
        yield Outcome(kind, name, "can be loaded", "The entry point leads to a part.", "broken", sentence, 0.0)
        return
    for check in component_checks:
        started = time.perf_counter()
        status, sentence = _result(check)
        yield Outcome(kind, name, check.name, check.promise, status, sentence, time.perf_counter() - started)


def _result(check: Check) -> tuple[Status, str]:
    try:
        check.verify()
    except NotApplicable as reason:
        return "not applicable", str(reason)
    except CheckFailed as failure:
        return "broken", str(failure)
    except Exception as error:
        return "broken", f"it raised {_raised(error)}"
    return "kept", ""


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {in_one_line(error)}"


def line_of(outcome: Outcome) -> str:
    """One line of output: the status, the check and the explanation."""
    explained = outcome.sentence if outcome.status != "kept" else outcome.promise
    return f"{outcome.status:14s}  {outcome.check}: {explained}"
