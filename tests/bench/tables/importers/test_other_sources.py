"""NATS-Bench folders, plain CSV files, AnalogNAS-Bench, and what tells them apart."""

import gzip
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats_bench import create
from nats_bench.api_utils import pickle_save
from scipy.stats import spearmanr

from opselect.bench.tables.importers.analog import DATASETS, installed_file, read_analog
from opselect.bench.tables.importers.nasbench201 import import_nasbench201
from opselect.bench.tables.importers.nats import read_nats
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.spaces.errors import UserError
from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.table import Table

Content = dict[str, Any]
ALL = [nasbench201.format(architecture) for architecture in nasbench201.enumerate()]


def ignore(done: int, total: int) -> None:
    assert 0 <= done <= total


def sentence(read: Callable[[], object], start: str) -> str:
    """What a source that cannot be read says: one line that begins with where."""
    with pytest.raises(UserError) as caught:
        read()
    message = str(caught.value)
    assert message.startswith(start)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def nats(official_content: Callable[..., Content], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in NATS-Bench's layout, written by its own function."""
    folder = tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    content = official_content(9, {"less": 12, "full": 20})
    names = content["meta_archs"][:-1]
    pickle_save({"meta_archs": names}, folder / "meta.pickle")
    for number in range(len(names)):
        state = content["arch2infos"][number]
        pickle_save({"12": state["less"], "200": state["full"]}, folder / f"{number:06d}.pickle")
    return folder


def test_every_number_of_a_nats_folder_is_its_packages_own_answer(nats: Path) -> None:
    table = read_nats(nats, ignore, workers=1)
    api = create(str(nats), "tss", fast_mode=True, verbose=False)
    frame = table.rows.to_pandas()
    assert frame["architecture"].nunique() == 8
    for row in frame.itertuples(index=False):
        training = {"imagenet16-120": "ImageNet16-120"}.get(row.dataset, row.dataset)
        if (row.dataset, row.split) == ("cifar10", "valid"):
            training = "cifar10-valid"
        budget = "12" if row.epochs == 12 else "200"
        theirs = api.get_more_info(row.architecture, training, hp=budget, is_random=row.seed)
        assert row.accuracy == np.float32(theirs[f"{row.split}-accuracy"])


def test_a_nats_folder_is_read_by_several_processes_alike(nats: Path) -> None:
    one, two = (read_nats(nats, ignore, workers) for workers in (1, 2))
    assert one.fingerprint == two.fingerprint


def test_a_nats_folder_with_missing_members_is_refused(nats: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(nats, folder)
    for number in (3, 5):
        (folder / f"{number:06d}.pickle.pbz2").unlink()
    message = sentence(lambda: read_nats(folder, ignore, 1), f"{folder}: ")
    assert "2 of 8 members are missing, 000003.pickle.pbz2 for example" in message
    (folder / "meta.pickle.pbz2").unlink()
    assert "No such file" in sentence(lambda: read_nats(folder, ignore, 1), f"{folder / 'meta.pickle.pbz2'}: ")


def test_a_hostile_member_is_refused_and_nothing_of_it_runs(
    nats: Path, tmp_path: Path, hostile: tuple[object, Path]
) -> None:
    attack, evidence = hostile
    folder = tmp_path / "copy"
    shutil.copytree(nats, folder)
    pickle_save({"12": attack}, folder / "000002.pickle")
    for workers in (1, 2):
        message = sentence(lambda n=workers: read_nats(folder, ignore, n), str(folder / "000002.pickle.pbz2"))
        assert "mkdir, which no published file needs" in message
    assert not evidence.exists()


def test_a_truncated_or_foreign_member_is_refused(nats: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(nats, folder)
    member = folder / "000001.pickle.pbz2"
    whole = member.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"BZh9nonsense", pickle.dumps(3)):
        member.write_bytes(content)
        assert "expected a folder such as" in sentence(lambda: read_nats(folder, ignore, 1), f"{member}: ")
    pickle_save([1], folder / "000001.pickle")
    assert "not the results of an architecture" in sentence(lambda: read_nats(folder, ignore, 1), f"{member}: ")
    pickle_save({"meta_archs": []}, folder / "meta.pickle")
    assert "lists no architectures" in sentence(lambda: read_nats(folder, ignore, 1), f"{folder}: ")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A complete CSV file with random numbers."""
    generator = np.random.default_rng(0)
    mean, first, second = generator.uniform(0, 100, (3, len(ALL)))
    second[7] = np.nan
    return pd.DataFrame(
        {
            "index": range(len(ALL)),
            "arch": generator.permutation(ALL),
            "imagenet16_120_valid_12": mean,
            "cifar10_test_200_run0": first,
            "cifar10_test_200_run1": second,
        }
    )


def test_a_csv_file_becomes_what_its_columns_say(frame: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("accuracies.csv", "accuracies.csv.gz"):
        frame.to_csv(tmp_path / name, index=False)
        table = import_nasbench201(str(tmp_path / name), ignore)
        assert table.columns == (("cifar10-runs", "test", 200), ("imagenet16-120", "valid", 12))
        for line in (0, 7):
            architecture = nasbench201.parse(frame["arch"][line])
            mean = table.accuracy(architecture, "imagenet16-120", "valid", 12, "mean")
            assert mean == np.float32(frame["imagenet16_120_valid_12"][line])
            runs = table.accuracy(architecture, "cifar10-runs", "test", 200, "each")
            written = frame.loc[line, ["cifar10_test_200_run0", "cifar10_test_200_run1"]].to_numpy(np.float32)
            np.testing.assert_array_equal(np.array(runs, dtype=np.float32), written)


def change(frame: pd.DataFrame, what: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    return what(frame.astype({"imagenet16_120_valid_12": object}))


def with_value(value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def set_it(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[5, "imagenet16_120_valid_12"] = value
        return frame

    return set_it


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (lambda frame: frame.rename(columns={"arch": "architecture"}), "column 'architecture'; expected arch"),
        (lambda frame: frame.rename(columns={"cifar10_test_200_run0": "cifar10"}), "column 'cifar10'; expected arch"),
        (lambda frame: frame[["index", "arch"]], "header 'index', 'arch'; expected arch"),
        (lambda frame: frame[["index", "cifar10_test_200_run0"]], "header 'index', 'cifar10_test_200_run0'"),
        (lambda frame: pd.concat([frame, frame[3:4]]), "stands there more than once"),
        (lambda frame: frame[:-2], "15623 architectures, expected all 15625"),
        (lambda frame: frame.replace({"arch": {ALL[0]: "|none~0|"}}), "arch string '|none~0|'"),
        (lambda frame: frame.replace({"arch": {ALL[0]: None}}), "an architecture is nan, expected an arch string"),
        (with_value(100.01), "1 accuracies are like 100.01, expected percentages"),
        (with_value(-0.5), "1 accuracies are like -0.5, expected percentages"),
        (with_value("good"), "column imagenet16_120_valid_12 holds 'good', expected percent"),
        (with_value(np.inf), "column imagenet16_120_valid_12 holds 'inf', expected percent"),
    ],
)  # fmt: skip
def test_a_wrong_csv_file_says_what_is_wrong(
    frame: pd.DataFrame, tmp_path: Path, what: Callable[[pd.DataFrame], pd.DataFrame], expected: str
) -> None:
    path = tmp_path / "wrong.csv"
    change(frame, what).to_csv(path, index=False)
    assert expected in sentence(lambda: read_csv(path), f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3\n", b"arch\n"])
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    assert "expected arch" in sentence(lambda: read_csv(path), f"{path}: ")
    compressed = tmp_path / "other.csv.gz"
    compressed.write_bytes(gzip.compress(b"arch,cifar10_test_200\n" + b"x" * 1000)[:-20])
    sentence(lambda: read_csv(compressed), f"{compressed}: ")
    compressed.write_bytes(b"arch,cifar10_test_200\n")
    sentence(lambda: read_csv(compressed), f"{compressed}: ")


def test_the_known_optima_come_out_of_the_real_file(real_accuracies: Table) -> None:
    best = {
        name: round(float(np.max(real_accuracies.accuracies(name, "test", 200, "mean"))), 2)
        for name in ("cifar10", "cifar100", "imagenet16-120")
    }
    assert best == {"cifar10": 94.37, "cifar100": 73.51, "imagenet16-120": 47.31}
    runs = real_accuracies.accuracies("cifar10-runs", "test", 200, "each")
    assert round(float(np.nanmax(runs)), 2) == 94.68  # over single runs, as best-acc of the published code is
    counts = np.bincount((~np.isnan(runs)).sum(axis=1), minlength=4)
    assert counts.tolist() == [0, 2225, 5439, 7961]


@pytest.fixture(scope="module")
def analog() -> Table:
    return import_nasbench201("analognasbench", ignore)


def test_analog_accuracies_are_read_without_the_package(analog: Table) -> None:
    assert {dataset for dataset, _, _ in analog.columns} == set(DATASETS.values())
    # NASLib's (0, 0, 0, 0, 1, 2): source-major; 0 skips, 1 is none, 2 the 3x3 convolution. Read off the file by hand.
    text = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    architecture = nasbench201.parse(text)
    assert analog.accuracy(architecture, "cifar10", "test", 200, "mean") == pytest.approx(91.4528)
    assert analog.accuracy(architecture, "cifar10-analog-drift-60s", "test", 200, "mean") == pytest.approx(88.01)
    assert not np.isnan(analog.accuracies("cifar10", "test", 200, "mean")).any()


def test_analog_and_real_accuracies_agree_cell_by_cell(analog: Table, real_accuracies: Table) -> None:
    one, other = (table.accuracies("cifar10", "test", 200, "mean") for table in (analog, real_accuracies))
    assert spearmanr(one, other).statistic >= 0.99


def test_a_wrong_analog_file_is_refused_and_nothing_of_it_runs(tmp_path: Path, hostile: tuple[object, Path]) -> None:
    attack, evidence = hostile
    path = tmp_path / "data.anb"
    for content in (pickle.dumps(attack), pickle.dumps({1: 2}), pickle.dumps([1]), pickle.dumps({}), b"", b"\x80"):
        path.write_bytes(content)
        sentence(lambda: read_analog(path), f"{path}: ")
    assert not evidence.exists()
    sentence(lambda: read_analog(tmp_path / "absent.anb"), f"{tmp_path / 'absent.anb'}: cannot be read")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 0.02))
def test_a_truncated_analog_file_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "data.anb"
    content = installed_file().read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "expected data.anb" in sentence(lambda: read_analog(path), f"{path}: ")


def test_an_unknown_source_says_which_kinds_there_are(tmp_path: Path) -> None:
    other = tmp_path / "table.xlsx"
    other.touch()
    message = sentence(lambda: import_nasbench201(str(other), ignore), f"{other}: unknown kind of file")
    assert "expected an official .pth file, a NATS-Bench folder, .csv, .csv.gz or .anb" in message
    absent = tmp_path / "absent.pth"
    sentence(lambda: import_nasbench201(str(absent), ignore), f"{absent}: no such file or folder")
