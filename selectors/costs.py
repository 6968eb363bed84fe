"""What a search cost, by phase."""

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

    The search time of a trial is the sum of all phases but `observing`, which is work that the report asks for and the
    selector does not need.

    Attributes:
        device: where the network runs; phases end with a synchronisation of it.
        seconds: by phase: `supernet training`, `scoring`, `tuning`, `validation`, `observing`.
        evaluations: scores computed for deciding: one an operation, edge and step, plus one a validated batch.
    """

    device: str = "cpu"
    seconds: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def search_seconds(self) -> float:
        """Everything that the selector itself needed."""
        return sum(seconds for name, seconds in self.seconds.items() if name != "observing")


def peak_memory_megabytes() -> float:
    """The largest resident size that this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
