"""What a check observes of global random states."""

import random
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from opselect.bench.conformance.check import CheckFailed, leaving_random_state


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("torch", lambda: torch.rand(1)),
        ("numpy", lambda: np.random.rand()),  # noqa: NPY002 - that is the point
        ("random", lambda: random.random()),
    ],
)
def test_a_used_global_random_state_is_named(
    name: str, draw: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where types are not checked at run time, which uses Python's own stream.
    monkeypatch.delitem(sys.modules, "beartype", raising=False)
    with (
        pytest.raises(CheckFailed, match=f"a test used the global random state of {name};"),
        leaving_random_state("a test"),
    ):
        draw()
