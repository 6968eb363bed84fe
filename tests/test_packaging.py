"""What others install: a source distribution with documentation and examples, and the wheel that is built from it."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "docs", "examples", "opselect", "selectors", "spaces", "tests")

pytestmark = pytest.mark.slow


def build(source: Path, kind: str, folder: Path) -> Path:
    """The distribution of a kind, sdist or wheel, that setuptools builds from a source tree without network."""
    program = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, from a copy, because building writes into the source tree."""
    copy = tmp_path_factory.mktemp("copy")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, symlinks=True)
    return build(copy, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the source distribution."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


def files_below(folder: str) -> set[str]:
    """Paths of the files in a folder of the checkout, without traces of Python."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_source_distribution_is_complete(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    wanted = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "pyproject.toml"}
    assert wanted | files_below("docs") | files_below("examples") <= inside
    assert not [name for name in inside if name.startswith(("tests/", "results/")) or name.endswith(".pyc")]


def test_the_wheel_has_everything_that_the_package_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {name for folder in ("bench", "selectors", "spaces") for name in files_below(folder)}
    expected = {f"opselect/{name}" for name in sources} | {"opselect/__init__.py", "opselect/py.typed"}
    assert expected - inside == set()
    assert {name for name in inside if not name.startswith("opselect/") or name.endswith(".pyc")} == set()
    assert "opselect/bench/plug_ins/template/package/selector.py.jinja" in inside


def metadata(wheel: Path) -> Message:
    """The fields that an index and `pip show` print."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_says_who_made_it_and_what_it_is(wheel: Path) -> None:
    fields = metadata(wheel)
    assert fields["Author"] == "opselect developers"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert "operation selection" in fields["Keywords"]
    description = fields.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_the_package_of_a_wheel_writes_a_plug_in(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = "from opselect.bench.plug_ins import new; print(new.__file__, new.write_plug_in('my_idea', ['proxy']))"
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    # Not the package of the checkout, which may be installed too.
    assert done.stdout.startswith(str(site))
    assert (tmp_path / "my_idea" / "my_idea" / "proxy.py").is_file()
