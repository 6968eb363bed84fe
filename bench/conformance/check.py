"""A conformance check: a sentence, a test of whether it holds, and a sentence about what was observed if it fails.

Plug-ins and our own components pass the same checks, by `opselect conformance NAME` and by tests.
Nothing here needs a test framework.
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from opselect.spaces.registry import EXPECTED_FAILURES

Fixture = TypeVar("Fixture")


class CheckFailed(AssertionError):
    """A component fails a check of its kind; the message says what was observed and how to correct it."""


class NotApplicable(SkipTest):
    """A check that means nothing for this component; the message says why. Test runners show it as skipped."""


@dataclass(frozen=True)
class Check:
    """One check, ready to run on one component.

    Attributes:
        subject: The component, as messages call it.
        name: Name of the check, in a few words.
        promise: Sentence that says what is checked.
        verify: Function that raises `CheckFailed` or `NotApplicable`.
    """

    subject: str
    name: str
    promise: str
    verify: Callable[[], None]

    def __str__(self) -> str:
        """Subject and name, as a test runner shows it."""
        return f"{self.subject}: {self.name}"

    def run(self) -> None:
        """Run the check.

        Raises:
            CheckFailed: The check fails; the message begins with the subject and the name of the check.
            NotApplicable: The check means nothing for this component.
        """
        try:
            self.verify()
        except CheckFailed as failure:
            raise CheckFailed(f"{self}: {failure}") from failure.__cause__


def checks_of(
    subject: str,
    component: object,
    fixture: Fixture,
    functions: Sequence[Callable[[Fixture], None]],
) -> tuple[Check, ...]:
    """The checks of one component; their names and sentences are those of the functions.

    Args:
        subject: The component, as messages call it.
        component: Component; a check that its `expected_failures` name does not apply.
        fixture: Argument of the functions.
        functions: Checks; each raises `CheckFailed` or `NotApplicable`.
    """
    expected_failures: Mapping[str, str] = getattr(component, EXPECTED_FAILURES, {})

    def check(function: Callable[[Fixture], None]) -> Check:
        name = function.__name__.replace("_", " ")

        def verify() -> None:
            if name in expected_failures:
                raise NotApplicable(f"its author says: {expected_failures[name]}")
            function(fixture)

        return Check(subject, name, (function.__doc__ or "").partition("\n")[0], verify)

    return tuple(map(check, functions))


def expect(holds: bool | np.bool_, sentence: str) -> None:
    """Raise `CheckFailed` with the sentence unless the condition holds."""
    if not holds:
        raise CheckFailed(sentence)


def same(first: object, second: object) -> bool:
    """Whether two values are equal to the last bit.

    Args:
        first: Tensor, array, or list or tuple of them at any depth; or any other value, which is compared with `==`.
        second: Value of the same kind.

    Returns:
        Whether shapes and elements are equal. NaN equals NaN in arrays, but not in tensors.

    Example:
        >>> same([torch.zeros(2), "a"], [torch.zeros(2), "a"]), same(torch.zeros(2), torch.zeros(1, 2))
        (True, False)
    """
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.shape == second.shape and torch.equal(first, second)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.array_equal(first, second, equal_nan=True)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Names of the values that differ before and after, compared to the last bit.

    Example:
        >>> changed({"mode": True, "steps": 3}, {"mode": True, "steps": 4})
        ['steps']
    """
    return [name for name in before if not same(before[name], after[name])]


@contextmanager
def leaving_random_state(what: str) -> Iterator[None]:
    """Check that a block leaves the global random states of torch, NumPy and Python as they were.

    Args:
        what: Beginning of the sentence, for example `"scoring a network"`.

    Raises:
        CheckFailed: One of them has changed.
    """
    before = random_states()
    yield
    expect_no_random_state(what, changed(before, random_states()))


def random_states() -> dict[str, object]:
    """The global random states now, by library."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what is checked
    states: dict[str, object] = {
        "torch": torch.get_rng_state(),
        "numpy": [state["state"]["key"], state["state"]["pos"], state["has_gauss"]],
    }
    # Where beartype checks types at run time, it draws from Python's stream which items of a list it looks at.
    if "beartype" not in sys.modules:
        states["random"] = random.getstate()
    return states


def expect_no_random_state(what: str, used: Sequence[str]) -> None:
    """Raise `CheckFailed` if a global random state was used.

    Args:
        what: Beginning of the sentence, for example `"scoring a network"`.
        used: The libraries whose global random states have changed.
    """
    expect(
        not used,
        f"{what} used the global random state of {' and '.join(used)}; draw from a generator of your own, seeded for "
        "its purpose as in opselect.spaces.seeds",
    )
