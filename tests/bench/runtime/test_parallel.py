"""Work in parallel: every result once, in finishing order, one thread a worker.

Tasks are calls without arguments and the function is `operator.call`, since worker processes import both by name.
"""

import operator
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from opselect.bench.runtime.parallel import available_cores, in_parallel, is_out_of_memory, use_single_thread


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give this process its threads back, whatever `use_single_thread` did."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def shell(command: str) -> partial[str]:
    return partial(subprocess.check_output, ["timeout", "100", "sh", "-c", command], text=True)


def test_one_worker_runs_here_and_in_order() -> None:
    assert list(in_parallel(operator.call, [partial(abs, -number) for number in range(5)], workers=1)) == list(range(5))
    assert list(in_parallel(operator.call, [os.getpid], workers=1)) == [os.getpid()]
    assert list(in_parallel(operator.call, [], workers=1)) == []


def test_a_worker_has_one_torch_thread() -> None:
    torch.set_num_threads(2)
    assert list(in_parallel(operator.call, [torch.get_num_threads] * 2, workers=1)) == [1, 1]
    torch.set_num_threads(2)
    use_single_thread()
    assert torch.get_num_threads() == 1


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = []

    def tasks() -> Iterator[partial[int]]:
        for number in range(100):
            taken.append(number)
            yield partial(abs, number)

    results = in_parallel(operator.call, tasks(), workers=1)
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 4
    results.close()


def test_an_exception_of_a_task_comes_out() -> None:
    results = in_parallel(operator.call, [partial(int, "7"), partial(int, "seven"), partial(int, "8")], workers=1)
    assert next(results) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        list(results)


def test_two_workers_answer_in_finishing_order_with_one_thread_each(tmp_path: Path) -> None:
    # The first task waits until the answer of the second one is here, which another process must therefore run at the
    # same time; if that never came, it would give up, and answer first.
    sign = tmp_path / "sign"
    tasks = [
        shell(f"for i in $(seq 600); do [ -e {sign} ] && break; sleep 0.05; done; echo waited"),
        shell("echo went ahead"),
        torch.get_num_threads,
        torch.get_num_threads,
        os.getpid,
    ]
    results = []
    for result in in_parallel(operator.call, tasks, workers=2):
        results.append(result)
        if result == "went ahead\n":
            sign.touch()
    assert results.index("went ahead\n") < results.index("waited\n")
    numbers = [result for result in results if isinstance(result, int)]
    assert numbers.count(1) == 2
    assert len(numbers) == 3
    assert os.getpid() not in numbers


def test_an_exception_of_a_worker_process_comes_out() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_parallel(operator.call, [partial(int, "7"), partial(int, "seven")], workers=2))


def test_a_process_counts_the_cores_that_it_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_the_real_error_of_a_full_memory_is_told_from_others() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(2**58)
    assert is_out_of_memory(full.value)
    with pytest.raises(RuntimeError) as other:
        torch.empty(2) @ torch.empty(3)
    assert not is_out_of_memory(other.value)
    assert is_out_of_memory(MemoryError())
