"""The checks at run time find what they are for."""

from typing import Any

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation

from opselect.selectors.decisions import Decisions
from opselect.selectors.proxies.kernels import log_determinants
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

WRONG: Any = "1"


def test_arguments_of_functions_methods_and_dataclasses_are_checked() -> None:
    with pytest.raises(BeartypeCallHintViolation, match="drop"):
        Decisions.none_yet(digits201.edges).drop(WRONG)
    with pytest.raises(BeartypeCallHintViolation, match="log_determinants"):
        log_determinants(torch.zeros(3, 2))
    with pytest.raises(BeartypeCallHintViolation, match="__init__"):
        LabelledImages(torch.zeros(2, 1, 3, 3), torch.zeros(2))


def test_axes_with_one_name_have_one_size() -> None:
    with pytest.raises(BeartypeCallHintViolation, match="labels"):
        LabelledImages(torch.zeros(2, 1, 3, 3), torch.zeros(3, dtype=torch.int64))
