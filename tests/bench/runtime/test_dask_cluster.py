"""Trials on a Dask cluster: real processes on this machine, which finish what they are given whoever of them dies."""

import importlib
import json
import logging
import operator
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from opselect.bench.evaluation import networks as network_training
from opselect.bench.evaluation.networks import TrainingResult
from opselect.bench.experiment.file import Experiment, NetworkChoice, parse
from opselect.bench.report.page import render_tables
from opselect.bench.runs import runner
from opselect.bench.runs.records import Record, read_records
from opselect.bench.runs.run import Run
from opselect.bench.runtime import dask_cluster as module
from opselect.bench.runtime.dask_cluster import Cluster, UnusableCluster, connected
from opselect.bench.runtime.parallel import Workers, in_parallel
from opselect.spaces.darts.genotypes import format_genotype, library
from opselect.spaces.image_sources import load_images

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

LONGEST = 300.0
"""Seconds that a cluster lives. Whoever waits for it longer gets an error."""

PLUGIN = """
import os
import signal
import time
from pathlib import Path

from opselect.selectors.methods import Random, Settings


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dies_once_when_asked(versions, dask_worker):
    try:
        Path(__file__).with_name("has_died_when_asked").touch(exist_ok=False)
    except FileExistsError:
        return None
    die()


def number_when_there(number, path):
    for _ in range(600):
        if path.exists():
            return number
        time.sleep(0.1)


class DiesOnce(Settings):
    def __call__(self, task):
        selection = Random()(task)
        try:
            Path(__file__).with_name("has_died").touch(exist_ok=False)
        except FileExistsError:
            return selection
        die()


class DiesForSeedOne(Settings):
    def __call__(self, task):
        if task.seed == 1:
            die()
        return Random()(task)
"""
ENTRY_POINTS = "[opselect.selectors]\ndies-once = deadly:DiesOnce\ndies-for-seed-one = deadly:DiesForSeedOne\n"
TRAINED = '[[selector]]\nname = "magnitude"\n'
PROXY = '[[selector]]\nname = "zero-cost-pt"\ncandidates = 1\nbatch_size = 16\n'


class Processes:
    """A scheduler, its workers, and the folder where all of them run."""

    def __init__(self, folder: Path, plugin: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        # A task may cost two workers, not four, so that it takes fewer of them to see one given up.
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(plugin), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--idle-timeout", str(LONGEST))
        watch = threading.Timer(LONGEST, self.scheduler.kill)
        watch.daemon = True
        watch.start()
        stack.callback(watch.cancel)
        self.cluster = Cluster(self._address())

    def start_worker(self, threads: int) -> subprocess.Popen[bytes]:
        """Start a worker, which the scheduler does not know yet."""
        options = ("--nthreads", str(threads), "--no-nanny", "--death-timeout", "20")
        return self._start("worker", self.cluster.scheduler, *options, "--local-directory", str(self._folder))

    def have(self, count: int) -> Cluster:
        """The cluster, when so many workers are alive and have told the scheduler."""
        while len(self.alive) < count:
            self.workers.append(self.start_worker(threads=1))
        with connected(self.cluster) as client:
            client.wait_for_workers(count, timeout=30)
        return self.cluster

    @property
    def alive(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        common = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        with (self._folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *common],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.kill)
        return process

    def _address(self) -> str:
        path = self._folder / "scheduler.log"
        waiting = threading.Event()
        for _ in range(300):
            lines = [line for line in path.read_text().splitlines() if "Scheduler at:" in line]
            if lines:
                return lines[0].split()[-1]
            waiting.wait(0.1)
        raise TimeoutError(path.read_text())


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of an installed package with selectors that end their process, here and on the workers."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "deadly.py").write_text(PLUGIN)
    described = folder / "deadly-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(ENTRY_POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> Iterator[Processes]:
    pytest.importorskip("distributed", reason="needs dask: pip install 'opselect[cluster]'")
    with ExitStack() as stack:
        yield Processes(tmp_path_factory.mktemp("dask"), plugin, stack)


def quietly(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def experiment(*selectors: str) -> Experiment:
    return parse(
        'name = "far"\nspace = "digits201"\nimages = "digits"\nseeds = [0, 1]\ntraining_images = 64\n'
        '[table]\nname = "digits201"\ndataset = "digits"\nepochs = 10\n[supernet]\nepochs = 1\nbatch_size = 16\n'
        '[[selector]]\nname = "random"\n' + "".join(selectors),
        "far.toml",
    )


def outcome(record: Record) -> dict[str, Any]:
    """What must not differ between two runs: all but costs and the environment."""
    return json.loads(record.model_dump_json(exclude={"cost", "environment"}))


def in_file(folder: Path) -> list[str]:
    """The key of every line of the records file."""
    return [json.loads(line)["key"] for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_cluster_gives_the_records_and_tables_of_this_machine(
    dask: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = experiment(TRAINED, PROXY)
    # The workers run in another folder, and find the supernets nevertheless.
    monkeypatch.chdir(tmp_path)
    far = runner.run(wanted, Path("far"), dask.have(2), quietly)
    near = runner.run(wanted, Path("near"), 1, quietly)
    assert far.failed == ()
    assert [outcome(record) for record in far.records] == [outcome(record) for record in near.records]
    assert render_tables(Run.of(far.records, wanted.labels)) == render_tables(Run.of(near.records, wanted.labels))
    assert sorted(in_file(Path("far"))) == sorted(record.key for record in far.records)
    assert {record.environment["torch threads"] for record in far.records} == {1}
    assert [path.name for path in sorted(Path("far/supernets").iterdir())] == [
        path.name for path in sorted(Path("near/supernets").iterdir())
    ]
    assert runner.run(wanted, Path("far"), Cluster("nobody is asked"), quietly).resumed == 6


def test_a_trial_whose_worker_is_killed_is_run_by_another_one(dask: Processes, plugin: Path, tmp_path: Path) -> None:
    wanted = experiment('[[selector]]\nname = "dies-once"\n', PROXY)
    before = len(dask.have(2) and dask.alive)
    seen: list[tuple[str, int, int]] = []
    far = runner.run(wanted, tmp_path / "far", dask.cluster, lambda *progress: seen.append(progress))
    assert (plugin / "has_died").exists()
    assert len(dask.alive) == before - 1
    assert {worker.returncode for worker in dask.workers} - {None} == {-signal.SIGKILL}
    assert far.failed == ()
    assert [each for each in seen if each[0] == "trials"] == [("trials", count, 6) for count in range(7)]
    assert sorted(in_file(tmp_path / "far")) == sorted(record.key for record in far.records)
    near = runner.run(wanted, tmp_path / "near", 1, quietly)
    assert [outcome(record) for record in far.records] == [outcome(record) for record in near.records]
    assert render_tables(Run.of(far.records, wanted.labels)) == render_tables(Run.of(near.records, wanted.labels))


@pytest.mark.slow
def test_a_trial_that_kills_every_worker_fails_with_its_reason_and_alone(dask: Processes, tmp_path: Path) -> None:
    wanted = experiment('[[selector]]\nname = "dies-for-seed-one"\n')
    before = len(dask.have(3) and dask.alive)
    summary = runner.run(wanted, tmp_path, dask.cluster, quietly)
    assert len(dask.alive) == before - 2
    assert [(record.label, record.trial.seed) for record in summary.failed] == [("dies-for-seed-one", 1)]
    assert str(summary.failed[0].reason).startswith("2 workers died of it, the last one tcp://127.0.0.1:")
    assert [record.status for record in read_records(tmp_path / "records.jsonl")].count("done") == 3
    assert len(in_file(tmp_path)) == 4


@pytest.mark.slow
def test_a_network_is_trained_on_a_cluster_as_here(
    dask: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = NetworkChoice(channels=2, cells=3, auxiliary_weight=0, epochs=1, batch_size=16)
    genotype = format_genotype(library()["DARTS_V2"].genotype)
    networks = network_training.describe_networks("darts", [genotype], "digits", 32, choice, "cpu")
    monkeypatch.chdir(tmp_path)

    def trained(folder: str, workers: Workers) -> TrainingResult:
        (record,) = network_training.train_all(networks, Path(folder), workers, quietly)
        assert record.result is not None, record.reason
        return record.result

    near, far = trained("near", 1), trained("far", dask.have(1))
    assert far == near.model_copy(update={"seconds": far.seconds})
    assert len(list(Path("far/checkpoints").iterdir())) == 1


def test_what_a_worker_cannot_load_or_find_is_one_sentence(dask: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    here = types.ModuleType("only_here")
    exec("def work(): pass", vars(here))
    monkeypatch.setitem(sys.modules, "only_here", here)
    with pytest.raises(UnusableCluster, match=r"worker tcp://\S+ cannot load a task \(No module named 'only_here'\)"):
        list(in_parallel(operator.call, [vars(here)["work"]], dask.have(1)))
    with pytest.raises(UnusableCluster, match=r"worker tcp://\S+: no images named 'only-here'"):
        list(in_parallel(operator.call, [partial(load_images, "only-here")], dask.cluster))


def test_other_versions_are_named_before_anything_runs(
    dask: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opselect: CommandLine
) -> None:
    real, scheduler = module._versions(), dask.have(1).scheduler
    monkeypatch.setattr(module, "_versions", lambda: real | {"torch": "1.0"})
    status, _, error = opselect(
        "run", "digits201", "--output", tmp_path / "run", "--backend", "dask", "--scheduler", scheduler
    )
    assert status == 2
    assert error == (
        f"opselect: the scheduler has torch {real['torch']}, not 1.0 as here; install the same versions on both\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_worker_with_several_threads_is_refused() -> None:
    worker = types.SimpleNamespace(address="tcp://there", state=types.SimpleNamespace(nthreads=4))
    assert module._objection_of_worker(module._versions(), worker) == (
        "worker tcp://there has 4 threads, expected 1; start workers with --nthreads 1"
    )


@pytest.mark.slow
def test_a_worker_with_several_threads_that_joins_a_run_is_left_out_and_no_work_is_lost(
    dask: Processes, plugin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import distributed

    said: list[str] = []
    number_when_there = importlib.import_module("deadly").number_when_there

    def warn(message: str, *arguments: object) -> None:
        said.append(message % arguments)
        (tmp_path / "warned").touch()

    tasks = [partial(number_when_there, 0, plugin)]
    tasks += [partial(number_when_there, number, tmp_path / "warned") for number in (1, 2, 3)]
    monkeypatch.setattr(module.log, "warning", warn)
    with distributed.Client(dask.have(1).scheduler) as client:
        for worker in dask.alive[1:]:
            worker.kill()
            worker.wait()
        before = set(client.nthreads())
        results = in_parallel(operator.call, tasks, dask.cluster)
        # The run has begun, with the only worker.
        assert next(results) == 0
        joined = dask.start_worker(threads=2)
        client.wait_for_workers(len(before) + 1, timeout=60)
        (address,) = set(client.nthreads()) - before
        # Until the second worker has refused a task, none of those that are left can end on the first one.
        assert sorted(results) == [1, 2, 3]
        joined.kill()
        joined.wait()
        for _ in range(600):
            if address not in client.nthreads():
                break
            threading.Event().wait(0.1)
    assert said == [
        f"worker {address} has 2 threads, expected 1; start workers with --nthreads 1; until then it is left out"
    ]


@pytest.mark.slow
def test_a_worker_that_dies_while_versions_are_compared_is_done_without(
    dask: Processes, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(dask.have(2) and dask.alive)
    monkeypatch.setattr(module, "_objection_of_worker", importlib.import_module("deadly").dies_once_when_asked)
    assert sorted(in_parallel(abs, [-1, -2, -3], dask.cluster)) == [1, 2, 3]
    assert (plugin / "has_died_when_asked").exists()
    assert len(dask.alive) == before - 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--backend", "dask"), "--backend dask without a scheduler; add --scheduler"),
        (("--scheduler", "a:1"), "--scheduler a:1 without a cluster; add --backend dask"),
        (("--backend", "dusk", "--scheduler", "a:1"), "no backend named 'dusk'; did you mean 'dask'?"),
        (("--backend", "dask", "--scheduler", "a:1", "--workers", "4"), "--workers 4 with --backend dask; a cluster"),
        (("--backend", "dask", "--scheduler", "tcp://127.0.0.1:1"), "no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
        (("--backend", "dask", "--scheduler", "nowhere"), "no Dask scheduler answers at 'nowhere' (missing port"),
        (("--backend", "dask", "--scheduler", ""), "no Dask scheduler answers at ''"),
    ],
)
@pytest.mark.parametrize("command", [("run", "digits201"), ("train", "DARTS_V2", "--images", "digits")])
def test_a_wrong_choice_of_workers_is_one_sentence(
    options: tuple[str, ...],
    sentence: str,
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opselect: CommandLine,
) -> None:
    if "no Dask" in sentence:
        pytest.importorskip("distributed", reason="needs dask: pip install 'opselect[cluster]'")
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    if command[0] == "train":
        command = (*command, "--set", "auxiliary_weight=0")
    status, output, error = opselect(*command, "--output", tmp_path / "run", *options)
    assert (status, output) == (2, "")
    assert error.startswith(f"opselect: {sentence}")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_without_dask_the_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opselect: CommandLine
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, error = opselect("run", "digits201", "-o", tmp_path / "r", "--backend", "dask", "--scheduler", "a:1")
    assert status == 2
    assert error == "opselect: dask is not installed here; try: pip install 'opselect[cluster]'\n"


def test_missing_workers_are_waited_for_and_a_lost_scheduler_is_one_sentence(
    dask: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It leaves no cluster behind, so it comes last.
    said: list[str] = []

    def warn(message: str, *arguments: object) -> None:
        said.append(message % arguments)
        dask.scheduler.kill()

    monkeypatch.setattr(module.log, "warning", warn)
    for worker in dask.alive:
        worker.kill()
        worker.wait()
    records: list[logging.LogRecord] = []
    foreign = logging.getLogger("distributed.client")
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    foreign.addHandler(handler)
    with pytest.raises(UnusableCluster, match="gone or was restarted; what was finished is kept"):
        list(in_parallel(abs, [1, 2], dask.cluster))
    assert said == [f"no workers at {dask.cluster.scheduler}; waiting for some"]
    foreign.removeHandler(handler)
    # Dask would log a traceback.
    assert records == []
