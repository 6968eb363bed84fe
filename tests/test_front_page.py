"""README.md is a front page: its Python runs, its links lead somewhere, and it is short."""

import doctest
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from opselect.spaces import registry

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])


def test_the_python_on_the_front_page_prints_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried == 9
    assert failed == 0


def test_the_front_page_is_short_and_in_its_order() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    order = [
        "![",
        "pip install .",
        "make report",
        "make test",
        ">>> ",
        "about ten minutes",
        "## How to cite",
        "## Licence",
    ]
    places = [text.index(mark) for mark in order]
    assert places == sorted(places)


def own(kind: str) -> int:
    """Number of registered components of a kind that are opselect's own."""
    return sum(registry.origin(kind, name).distribution == "opselect" for name in registry.names(kind))


def test_the_front_page_counts_what_is_registered() -> None:
    assert (own("selectors"), own("supernets")) == (10, 14)
    text = README.read_text(encoding="utf-8")
    assert f"Ten selectors, fourteen supernet trainings, {own('proxies')} proxies" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert link.startswith("https://") or (page.parent / link).is_file(), link


def test_every_page_is_in_the_index_of_the_documentation() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in ROOT.glob("docs/*.md"):
        assert path.name == "README.md" or f"]({path.name})" in index


def test_the_picture_is_drawn_from_the_committed_records(tmp_path: Path) -> None:
    drawn = tmp_path / "front-page.png"
    runpy.run_path(str(ROOT / "docs" / "front_page.py"))["main"](drawn)
    signature = b"\x89PNG\r\n"
    assert drawn.read_bytes().startswith(signature)
    assert (ROOT / "docs" / "front-page.png").read_bytes().startswith(signature)


def test_the_citation_is_that_of_this_version_and_of_the_papers_on_the_front_page() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation
    assert f'\n  - name: "{project["authors"][0]["name"]}"\n' in citation
    text = README.read_text(encoding="utf-8")
    papers = re.findall(r'title: "(.*)"', citation), re.findall(r'value: "(arXiv:.*)"', citation)
    assert [len(found) for found in papers] == [2, 2]
    for title, number in zip(*papers, strict=True):
        assert title in " ".join(text.replace("*", "").split())
        assert f"[{number}]" in text
