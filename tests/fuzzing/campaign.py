"""Many inputs for every reader, counted: `python -m tests.fuzzing.campaign --inputs 100000`, or `make fuzz`."""

import argparse
import json
import logging
import math
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, Phase, given, settings

from opselect.bench.runtime.parallel import use_single_thread

from .inputs import contents
from .targets import TARGETS, Target, attempt, shown

LONGEST_SECONDS = 5.0
"""An input that takes longer is a finding."""
MOST_MEMORY = 12 * 2**30


@contextmanager
def prepared() -> Iterator[Path]:
    """A folder for the inputs of readers, in which no data of the user is found."""
    folder = Path(tempfile.mkdtemp())
    with (
        mock.patch.dict(os.environ, {"OPSELECT_DATA": str(folder / "data")}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def try_many(target: Target, count: int, folder: Path, findings: dict[str, str]) -> tuple[int, int]:
    """How many inputs were tried, and how many of them the reader takes.

    Args:
        target: the reader.
        count: inputs.
        folder: to work in.
        findings: by reader and place in the code, the first input that led there; added to.
    """
    tried: Counter[bool] = Counter()

    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(content=contents(target))
    def once(content: bytes) -> None:
        started = time.process_time()
        try:
            tried[attempt(target, content, folder)] += 1
            problem = ""
        except (Exception, SystemExit) as error:
            tried[False] += 1
            last = traceback.extract_tb(error.__traceback__)
            ours = [
                frame for frame in last if "/tests/" not in frame.filename and "site-packages" not in frame.filename
            ]
            frame = (ours or last)[-1]
            problem = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:300]}"
            key = f"{target.name}: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        if not problem and time.process_time() - started > LONGEST_SECONDS:
            problem = key = f"{target.name}: {time.process_time() - started:.1f} s"
        if problem and key not in findings:
            findings[key] = f"{problem}; input {shown(content)}"
            path = Path(tempfile.gettempdir()) / f"opselect-finding-{os.getpid()}-{len(findings)}"
            path.write_bytes(content)
            print(f"FINDING {target.name}: {findings[key]} ({path})", file=sys.stderr, flush=True)

    once()
    return sum(tried.values()), tried[True]


def main() -> None:
    """Print how many inputs each reader was given, and everything that was found; exit with 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="in all; slow readers get fewer")
    parser.add_argument("--only", action="append", choices=list(TARGETS), help="a reader; may be repeated")
    parser.add_argument("--counts", type=Path, help="a file in which counts are added up over campaigns")
    arguments = parser.parse_args()
    chosen = [TARGETS[name] for name in arguments.only or TARGETS]
    weights = sum(target.weight for target in chosen)
    findings: dict[str, str] = {}
    totals = json.loads(arguments.counts.read_text()) if arguments.counts and arguments.counts.exists() else {}
    use_single_thread()
    logging.disable(logging.WARNING)  # every damaged checkpoint is told there
    # What asks for more than this is a finding, and not the end of the machine.
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with prepared() as folder:
        for target in chosen:
            started = time.process_time()
            count, taken = try_many(target, math.ceil(arguments.inputs * target.weight / weights), folder, findings)
            totals[target.name] = totals.get(target.name, 0) + count
            seconds = time.process_time() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{target.name}: {count} inputs, {taken} taken, {seconds:.0f} s, peak {peak:.0f} MB so far", flush=True
            )
            if arguments.counts:
                arguments.counts.write_text(json.dumps(totals, indent=1))
    print(f"{sum(totals.values())} inputs, {len(findings)} findings")
    for finding in findings.values():
        print(f"- {finding}")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
