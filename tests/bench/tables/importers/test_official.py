"""The official files: every number is the package's own, memory stays flat, and nothing in a file is run."""

import io
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nas_201_api import NASBench201API

from opselect.bench.tables.importers import official
from opselect.bench.tables.importers.official import read_official
from opselect.spaces.errors import UserError
from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.table import Table

Content = dict[str, Any]

# How the package is asked for a column: the training, the key of its answer.
ANSWERS = {
    ("cifar10", "valid"): ("cifar10-valid", "valid-accuracy"),
    ("cifar10", "test"): ("cifar10", "test-accuracy"),
    ("cifar10-valid", "test"): ("cifar10-valid", "test-accuracy"),
    ("cifar100", "valid"): ("cifar100", "valid-accuracy"),
    ("cifar100", "test"): ("cifar100", "test-accuracy"),
    ("imagenet16-120", "valid"): ("ImageNet16-120", "valid-accuracy"),
    ("imagenet16-120", "test"): ("ImageNet16-120", "test-accuracy"),
}


@pytest.fixture(scope="session")
def few(official_content: Callable[..., Content]) -> Content:
    """What an official file with 24 architectures holds."""
    return official_content(25)


def ignore(done: int, total: int) -> None:
    assert 0 <= done <= total


def saved(content: object, path: Path, new_format: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    return path


# The published file is of the first kind; a file that was saved again is of the second.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(False, id="before torch 1.6"),
        pytest.param(True, id="since torch 1.6", marks=pytest.mark.slow),
    ],
)
def path(request: pytest.FixtureRequest, few: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("official")
    return saved(few, folder / "NAS-Bench-201-v1_1-096897.pth", request.param)


@pytest.fixture(scope="module")
def table(path: Path) -> Table:
    return read_official(path, ignore)


def test_every_number_is_the_packages_own_answer(few: Content, table: Table) -> None:
    api = NASBench201API(few, verbose=False)
    frame = table.rows.to_pandas()
    for row in frame.itertuples(index=False):
        training, answer = ANSWERS[row.dataset, row.split]
        index = api.query_index_by_arch(row.architecture)
        theirs = api.get_more_info(index, training, hp=str(row.epochs), is_random=row.seed)
        assert row.accuracy == np.float32(theirs[answer])
        assert row.training_seconds == pytest.approx(theirs["train-all-time"])
        result = api.query_by_index(index, training, hp=str(row.epochs))[row.seed]
        assert (row.parameters, row.multiply_adds) == (round(result.params * 1e6), round(result.flop * 1e6))
    expected = sum(
        len(few["arch2infos"][number][budget]["dataset_seed"][training])
        for number in few["arch2infos"]
        for budget in ("less", "full")
        for training, _ in ANSWERS.values()
    )
    assert len(frame) == expected


def test_the_table_says_what_is_there_and_what_is_not(table: Table) -> None:
    found = table.contents().set_index(["dataset", "split", "epochs"])
    assert len(found) == 2 * len(ANSWERS)
    assert found.loc[("cifar10", "test", 200), ["architectures", "missing", "seeds"]].tolist() == [
        24, 15625 - 24, "777 888 999",
    ]  # fmt: skip
    assert found.loc[("cifar10", "valid", 12), "seeds"] == "777 888"
    assert found.loc[("cifar100", "valid", 12), "seeds"] == "777"
    assert table.provenance["architectures"] == "24 evaluated of 25 listed"
    assert len(table.provenance["sha256"]) == 64


def test_means_are_over_the_seeds_that_an_architecture_has(few: Content, table: Table) -> None:
    name = few["meta_archs"][1]
    api = NASBench201API(few, verbose=False)
    architecture = nasbench201.parse(name)
    each = table.accuracy(architecture, "cifar10", "test", 200, "each")
    assert [np.isnan(value) for value in each] == [False, False, True]
    theirs = api.get_more_info(name, "cifar10", hp="200", is_random=False)["test-accuracy"]
    assert table.accuracy(architecture, "cifar10", "test", 200, "mean") == pytest.approx(theirs, rel=1e-6)


def test_progress_is_told_up_to_the_end(path: Path) -> None:
    told: list[tuple[int, int]] = []
    read_official(path, lambda done, total: told.append((done, total)))
    assert len(told) == 24
    assert told == sorted(told)
    assert 95 <= told[-1][0] <= 100


def test_the_first_version_has_twelve_epochs_of_one_training_only(few: Content, tmp_path: Path) -> None:
    content = {**few, "arch2infos": {}}
    for number, state in few["arch2infos"].items():
        less = dict(state["less"])
        less["dataset_seed"] = {"cifar10-valid": less["dataset_seed"]["cifar10-valid"]}
        less["all_results"] = {key: value for key, value in less["all_results"].items() if key[0] == "cifar10-valid"}
        content["arch2infos"][number] = {"full": state["full"], "less": less}
    found = read_official(saved(content, tmp_path / "NAS-Bench-201-v1_0-e61699.pth", False), ignore).columns
    assert [column for column in found if column[2] == 12] == [("cifar10", "valid", 12), ("cifar10-valid", "test", 12)]


def test_memory_does_not_grow_with_the_number_of_architectures(
    official_content: Callable[..., Content], tmp_path: Path
) -> None:
    def peak(count: int, read: Callable[[Path], object]) -> int:
        path = saved(official_content(count, {"less": 2, "full": 12}), tmp_path / f"{count}.pth", False)
        read(path)  # what is imported and cached on first use does not count
        tracemalloc.start()
        read(path)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    ours = [peak(count, lambda path: read_official(path, ignore)) for count in (6, 21)]
    whole = [peak(count, lambda path: torch.load(path, weights_only=False)) for count in (6, 21)]
    growth_of_ours, growth_of_whole = ours[1] - ours[0], whole[1] - whole[0]
    assert growth_of_ours < 0.1 * growth_of_whole


def test_architectures_that_share_what_is_forgotten_are_read_all_the_same(
    few: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = few["arch2infos"][0]["full"]["all_results"]["cifar10", 777]["eval_acc1es"]
    content = {**few, "arch2infos": {}}
    for number in (0, 1):
        state = few["arch2infos"][number]
        results = {key: dict(value) for key, value in state["full"]["all_results"].items()}
        results["cifar10", 777]["eval_acc1es"] = shared
        content["arch2infos"][number] = {**state, "full": {**state["full"], "all_results": results}}
    attempts: list[bool] = []
    read = official._read
    monkeypatch.setattr(official, "_read", lambda *given, forget: (attempts.append(forget), read(*given, forget))[1])
    table = read_official(saved(content, tmp_path / "shared.pth", False), ignore)
    assert attempts == [True, False]
    first, second = (nasbench201.parse(name) for name in few["meta_archs"][:2])
    asked = ("cifar10", "test", 200, 777)
    assert table.accuracy(first, *asked) == table.accuracy(second, *asked) == np.float32(shared["ori-test@199"])


def sentence(path: Path) -> str:
    """What a file that cannot be read says: one line that begins with its path."""
    with pytest.raises(UserError) as caught:
        read_official(path, ignore)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("new_format", [False, True])
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(
    few: Content, hostile: tuple[object, Path], tmp_path: Path, new_format: bool
) -> None:
    attack, evidence = hostile
    path = saved({**few, "evaluated_indexes": attack}, tmp_path / "hostile.pth", new_format)
    assert "mkdir, which no published file needs" in sentence(path)
    assert not evidence.exists()
    torch.load(path, weights_only=False)
    assert evidence.exists()  # the attack itself does work


def test_a_file_of_another_kind_says_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    cases: list[tuple[object, str]] = [
        (torch.nn.Linear(2, 2).state_dict(), "it asks for torch._utils._rebuild_tensor_v2"),
        ({"epoch": 3}, "without arch2infos, evaluated_indexes, meta_archs"),
        ([1, 2], "without arch2infos"),
    ]
    for content, expected in cases:
        for new_format in (False, True):
            message = sentence(saved(content, path, new_format))
            assert expected in message
            assert "expected NAS-Bench-201-v1_1-096897.pth" in message
    for raw in (b"", b"accuracy\n", pickle.dumps({}), b"PK\x05\x06" + bytes(18)):
        path.write_bytes(raw)
        assert "expected NAS-Bench-201-v1_1-096897.pth" in sentence(path)
    assert "cannot be read" in sentence(tmp_path / "absent.pth")


def test_results_that_are_none_say_so(few: Content, tmp_path: Path) -> None:
    broken = {**few, "arch2infos": {0: {"less": {}, "full": {"all_results": 3}}}}
    assert "not the results of an architecture" in sentence(saved(broken, tmp_path / "broken.pth", False))
    state = few["arch2infos"][0]
    unknown = {**few, "arch2infos": {0: {**state, "full": {**state["full"], "arch_str": "|none~0|"}}}}
    assert "arch string '|none~0|'" in sentence(saved(unknown, tmp_path / "unknown.pth", False))


def test_accuracies_that_are_no_percentages_are_refused(few: Content, tmp_path: Path) -> None:
    for wrong in (100.5, -1.0, float("nan")):
        stream = io.BytesIO()
        torch.save(few, stream)
        content = torch.load(io.BytesIO(stream.getvalue()), weights_only=False)
        content["arch2infos"][3]["full"]["all_results"]["cifar100", 777]["eval_acc1es"]["x-test@199"] = wrong
        assert "expected percentages" in sentence(saved(content, tmp_path / "wrong.pth", False))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_truncated_file_is_refused(
    official_content: Callable[..., Content], tmp_path: Path, part: float, new_format: bool
) -> None:
    whole = tmp_path / f"whole-{new_format}.pth"
    if not whole.exists():
        saved(official_content(3, {"less": 1, "full": 2}), whole, new_format)
    path = tmp_path / "truncated.pth"
    # The old format ends with the keys of the tensors that it does not hold; without them nothing is missing.
    path.write_bytes(whole.read_bytes()[: int(part * (whole.stat().st_size - 30))])
    sentence(path)
