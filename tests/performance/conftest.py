"""What benchmarks share: two ways timed turn by turn in one run, and one printed table.

Times differ from machine to machine and from minute to minute; ratios of two ways that took turns differ much less.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from opselect.bench.runtime.parallel import use_single_thread
from opselect.spaces.images import LabelledImages


@dataclass
class Findings:
    """Lines of the table at the end, in the order in which they were found."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, found: str) -> None:
        """One line."""
        self.lines.append((what, found))


FINDINGS = Findings()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Every benchmark runs on one core, as workers do."""
    before = torch.get_num_threads()
    use_single_thread()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def turns(benchmark: BenchmarkFixture) -> Callable[..., float]:
    """`turns(what, slow, fast, rounds)`: both by turns; notes the median ratio with its range, and returns it."""

    def take(what: str, slow: Callable[[], Any], fast: Callable[[], Any], rounds: int = 5) -> float:
        slow(), fast()
        times: list[float] = []

        def before() -> None:
            started = time.perf_counter()
            slow()
            times.append(time.perf_counter() - started)

        benchmark.pedantic(fast, setup=before, rounds=rounds)
        ratios = [one / other for one, other in zip(times, benchmark.stats.stats.data, strict=True)]
        ratio = statistics.median(ratios)
        benchmark.extra_info.update(ratio=ratio, ratios=ratios)
        FINDINGS.add(
            what,
            f"{ratio:.2f} times faster ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} turns): "
            f"{statistics.median(times):.3g} s and {benchmark.stats.stats.median:.3g} s",
        )
        return ratio

    return take


@pytest.fixture(scope="session")
def findings() -> Findings:
    """Where benchmarks note what they found."""
    return FINDINGS


def random_images(count: int, side: int = 32) -> LabelledImages:
    """Normal pixels: speed does not depend on what is on an image."""
    generator = torch.Generator().manual_seed(0)
    return LabelledImages(
        torch.randn(count, 3, side, side, generator=generator).contiguous(memory_format=torch.channels_last),
        torch.arange(count) % 10,
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, and write it where `--findings` says."""
    if not FINDINGS.lines:
        return
    width = max(len(what) for what, _ in FINDINGS.lines)
    text = "\n".join(f"{what:{width}}  {found}" for what, found in FINDINGS.lines) + "\n"
    terminalreporter.section("findings")
    terminalreporter.write(text)
    if path := terminalreporter.config.getoption("--findings"):
        Path(path).write_text(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--findings FILE`."""
    parser.addoption("--findings", default=None, help="write the table of findings to this file")
