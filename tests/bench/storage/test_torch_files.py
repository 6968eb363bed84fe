"""Files of tensors: what torch has saved is read, what unfolds, holds itself or asks for something else is refused."""

import io
from typing import Any

import pytest
import torch

from opselect.bench.storage.torch_files import MOST_VALUES, read_torch_file


def saved(state: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def doubled(times: int) -> tuple[Any, ...]:
    state: tuple[Any, ...] = (1,)
    for _ in range(times):
        state = (state, state)
    return state


def test_states_of_modules_and_optimizers_come_back() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.zeros(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    again = read_torch_file(saved({"module": module.state_dict(), "optimizer": optimizer.state_dict(), "seconds": 1.5}))
    assert again["seconds"] == 1.5
    for name, value in module.state_dict().items():
        assert torch.equal(again["module"][name], value)
    optimizer.load_state_dict(again["optimizer"])


def test_values_count_as_often_as_they_occur() -> None:
    read_torch_file(saved(doubled(18)))
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES:,} values"):
        read_torch_file(saved(doubled(20)))
    with pytest.raises(ValueError, match="more than"):
        read_torch_file(saved({"optimizer": [{"key": doubled(60)}]}))


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        read_torch_file(saved(endless))


@pytest.mark.parametrize("content", [b"", b"PK", saved({"f": torch.nn.ReLU()}), saved(1)[:-40]])
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017 - of any kind, as the reader says
        read_torch_file(content)
