"""The costs of a search: time by phase, score evaluations, memory."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class Costs:
    """Wall seconds by phase and the number of score evaluations of one trial.

    The search time of a trial is the sum of all phases but `observing`, which computes scores that only the report
    needs.

    Attributes:
        device: Device of the networks; a phase on a GPU ends with its synchronisation.
        seconds: Wall seconds by phase: `supernet training`, `scoring`, `tuning`, `validation`, `observing`.
        evaluations: Number of scores that decisions are based on: one per operation, edge and step, and one per batch
            of validation.

    Example:
        >>> costs = Costs(seconds={"scoring": 2.0, "observing": 5.0})
        >>> costs.search_seconds
        2.0
    """

    device: str = "cpu"
    seconds: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to the phase of this name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def search_seconds(self) -> float:
        """Seconds that the selector itself needed: all phases except `observing`."""
        return sum(seconds for name, seconds in self.seconds.items() if name != "observing")


def peak_memory_megabytes() -> float:
    """The largest resident memory that this process has had so far, in units of 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
