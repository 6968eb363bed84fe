"""Whole selections, workers, commands: what a user waits for."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from opselect.bench import proxy_study
from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.report.page import write_report
from opselect.bench.runs import runner
from opselect.bench.runs.run import load_run
from opselect.bench.runtime.parallel import available_cores
from opselect.selectors.costs import peak_memory_megabytes
from opselect.selectors.methods import ZeroCostPT
from opselect.selectors.proxies.nwot import nwot
from opselect.selectors.task import SearchImages, Selection, Task
from opselect.spaces.digits import digits
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import Weights

from .conftest import Findings

pytestmark = pytest.mark.performance

Turns = Callable[..., float]
RESULTS = Path(__file__).parents[2] / "results" / "digits201"


class PlainSupernet(nn.Module):
    """A supernet that offers no evaluation form."""

    def __init__(self, supernet: nn.Module) -> None:
        super().__init__()
        self.supernet = supernet

    def forward(self, images: Tensor, weights: Weights) -> Tensor:
        logits: Tensor = self.supernet(images, weights)
        return logits


def experiment(seeds: int) -> Experiment:
    """Zero-Cost-PT with 10 proposals, each validated on 10 batches of 64 images."""
    return parse(
        f'name = "speed"\nspace = "digits201"\nimages = "digits"\nseeds = {list(range(seeds))}\n[[selector]]\n'
        'name = "zero-cost-pt"\nbatch_size = 64\ncandidates = 10\nvalidation_batches = 10\n',
        "speed.toml",
    )


def test_zero_cost_pt_on_digits201(turns: Turns) -> None:
    data = digits()
    selector = ZeroCostPT(batch_size=64, candidates=10, validation_batches=10)

    def select(is_plain: bool) -> Selection:
        supernet = digits201.supernet(1, 10, 0).to(memory_format=torch.channels_last)
        return selector(
            Task(digits201, SearchImages.halves(data), 10, 0, PlainSupernet(supernet) if is_plain else supernet)
        )

    assert select(True).architecture == select(False).architecture
    what = "digits201: zero-cost-pt, N = 10, V = 10, batch 64, one seed, against the plain definition"
    turns(what, lambda: select(True), lambda: select(False))


@pytest.mark.parametrize("candidates", [2, 4])
def test_how_a_selection_grows_with_its_proposals(turns: Turns, candidates: int) -> None:
    images = SearchImages.halves(digits())

    def select(proposals: int) -> None:
        supernet = digits201.supernet(1, 10, 0).to(memory_format=torch.channels_last)
        ZeroCostPT(batch_size=64, candidates=proposals, validation_batches=1)(Task(digits201, images, 10, 0, supernet))

    turns(
        f"digits201: zero-cost-pt, batch 64, one proposal, against {candidates}",
        lambda: select(1),
        lambda: select(candidates),
    )


def test_scoring_a_whole_space(findings: Findings, tmp_path: Path) -> None:
    before = peak_memory_megabytes()
    study = proxy_study.describe("digits201", "digits", 64, 0)
    halves = []
    for count in (7_812, None):
        started = time.perf_counter()
        scores = proxy_study.score_architectures(study, count, ["nwot"], tmp_path, 1, lambda *_: None)
        halves.append(
            f"{scores.classes} cells after {time.perf_counter() - started:.0f} s at {peak_memory_megabytes():.0f} MB"
        )
    assert scores.classes == 5_260
    findings.add(
        "digits201: nwot of every distinct cell, one core, in two calls", f"{'; '.join(halves)}; before {before:.0f} MB"
    )


def test_the_default_experiment_with_its_report(findings: Findings, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("opselect")
    seconds = []
    for arguments in (["run", "digits201", "--output", str(tmp_path)], ["report", str(tmp_path)]):
        started = time.perf_counter()
        subprocess.run([command, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    findings.add(
        f"opselect run digits201, {available_cores()} workers, and opselect report",
        " and ".join(f"{s:.0f} s" for s in seconds),
    )


def test_the_first_steps_in_python(findings: Findings) -> None:
    timed = "import time; started = time.perf_counter(); {}; print(time.perf_counter() - started)"
    for what, before, statement in (
        ("import opselect, in a new process", "", "import opselect"),
        ("load_table('digits201'), libraries included", "import opselect; ", "opselect.load_table('digits201')"),
        (
            "load_table('digits201') where numpy, pyarrow and jaxtyping are loaded",
            "import opselect.spaces.table, opselect.bench.interface, opselect; ",
            "opselect.load_table('digits201')",
        ),
    ):
        program = before + timed.format(statement)
        seconds = [
            float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
            for _ in range(5)
        ]
        findings.add(what, f"{min(seconds):.3f} s, the least of five")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_workers_against_one(turns: Turns, tmp_path: Path) -> None:
    runs = iter(range(1000))

    def run(workers: int) -> None:
        assert not runner.run(experiment(12), tmp_path / str(next(runs)), workers, lambda *_: None).failed

    turns("digits201: 12 trials of zero-cost-pt, 2 workers against 1", lambda: run(1), lambda: run(2), 3)


def test_a_report_from_existing_records(benchmark: Callable[..., object], findings: Findings, tmp_path: Path) -> None:
    run = load_run(RESULTS)
    started = time.perf_counter()
    benchmark.pedantic(  # type: ignore[attr-defined]
        lambda: write_report(run, tmp_path),
        rounds=1,
    )
    findings.add("report of results/digits201 with all figures", f"{time.perf_counter() - started:.2f} s")


@pytest.mark.parametrize("arguments", [("--help",), ("table", "info", "digits201"), ("list",)], ids=" ".join)
def test_commands_that_compute_nothing(
    benchmark: Callable[..., object], findings: Findings, arguments: tuple[str, ...]
) -> None:
    command = [str(Path(sys.executable).with_name("opselect")), *arguments]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=5)  # type: ignore[attr-defined]
    median = benchmark.stats.stats.median  # type: ignore[attr-defined]
    findings.add(f"opselect {' '.join(arguments)}", f"{median:.2f} s")


def test_memory_stays_flat_while_a_space_is_scored(findings: Findings) -> None:
    batch = digits().train[:64]
    peaks = []
    for start in range(0, 600, 200):
        for index in range(start, start + 200):
            nwot(digits201.network(digits201.at(26 * index), 1, 10, 0), batch)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    findings.add("peak memory after 200, 400 and 600 scored networks", ", ".join(f"{peak:.0f} MB" for peak in peaks))
    assert peaks[2] < peaks[0] + 50


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_how_long_a_run_takes_to_end_on_ctrl_c(findings: Findings, tmp_path: Path) -> None:
    file, folder = tmp_path / "endless.toml", tmp_path / "run"
    file.write_text(
        'name = "endless"\nspace = "digits201"\nimages = "digits"\nseeds = [0, 1]\n[supernet]\nepochs = 100000\n'
        '[[selector]]\nname = "magnitude"\n'
    )
    command = [Path(sys.executable).with_name("opselect"), "run", file, "--output", folder, "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while len(list(folder.glob("supernets/*.checkpoint"))) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        started = time.perf_counter()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        seconds = time.perf_counter() - started
    finally:
        process.kill()
    assert process.returncode == 130
    findings.add("a run with two busy workers ends after Ctrl-C in", f"{seconds:.2f} s")
    assert seconds < 3
