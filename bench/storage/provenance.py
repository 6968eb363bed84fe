"""Provenance of results: versions, machine and commit, and the reason of a failure in one line."""

import os
import platform
import subprocess
import traceback
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from opselect.bench.runtime.parallel import is_out_of_memory
from opselect.spaces.errors import UserError


@cache
def software() -> dict[str, str]:
    """Versions of the packages that may change a result, by name."""
    return {"opselect": version("opselect"), "torch": torch.__version__}


@cache
def environment() -> dict[str, Any]:
    """Machine, versions and commit, which may explain why two runs differ."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("opselect", "torch", "numpy", "scikit-learn", "scipy")},
        "commit": _commit(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the checkout, marked where files were changed; None for an installed copy."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    try:
        finished = subprocess.run(
            ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.strip()


def reason_of(error: Exception) -> str:
    """One line about an error: its message where the user can correct it, otherwise also its type and place."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return "the memory does not hold a batch; set a smaller batch_size, or fewer channels or cells"
    last = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"
