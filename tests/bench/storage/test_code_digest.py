"""The digest of code: what changes numbers changes it, what does not leaves it, in this package and in others."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.storage import code_digest as module
from opselect.bench.storage.code_digest import code_digest

Package: TypeAlias = Callable[..., str]

SCORE = '"""A score."""\nfrom a_plugin.deep import factor\n\n\ndef score(x):\n    """Twice."""\n    return factor * x\n'


@pytest.fixture
def digest_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """`digest_of(score=..., deep=...)`: of `a_plugin.score`, where the modules of the package have these texts."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "a_plugin"
    folder.mkdir()

    def digest(name: str = "a_plugin.score", score: str = SCORE, deep: str = "factor = 2\n") -> str:
        (folder / "score.py").write_text(score)
        (folder / "deep.py").write_text(deep)
        code_digest.cache_clear()
        return code_digest(name)

    yield digest
    for name in [name for name in sys.modules if name.startswith("a_plugin")]:
        del sys.modules[name]
    code_digest.cache_clear()


def test_a_change_of_code_or_of_imported_code_changes_the_digest(digest_of: Package) -> None:
    found = [
        digest_of(),
        digest_of(score=SCORE.replace("* x", "/ x")),
        digest_of(deep="factor = 3\n"),
        digest_of(score=SCORE.replace("def score(x)", "def score(x=1)")),
    ]
    assert len(set(found)) == len(found)
    assert all(len(each) == 16 for each in found)
    assert digest_of() == found[0]


@pytest.mark.parametrize(
    "other",
    [
        SCORE.replace("Twice", "Three times"),
        SCORE.replace("    return", "    # It is.\n    return"),
        SCORE.replace("\n\n\ndef", "\n\ndef").replace("factor * x", "(factor*x)"),
    ],
)
def test_docstrings_comments_and_layout_do_not_change_it(digest_of: Package, other: str) -> None:
    assert other != SCORE
    assert digest_of(score=other) == digest_of()


def test_a_function_counts_alone(digest_of: Package) -> None:
    name = "a_plugin.score:score"
    before = digest_of(name)
    assert digest_of(name, score=SCORE + "\n\ndef other():\n    pass\n") == before
    assert digest_of(name, deep="factor = 3\n") == before
    assert digest_of(name, score=SCORE.replace("* x", "+ x")) != before


def test_other_packages_are_not_followed_and_what_is_nowhere_is_passed_over(digest_of: Package) -> None:
    before = digest_of(score="import json\n")
    assert digest_of(score="import json\nimport nowhere_at_all\n") != before
    assert code_digest("nowhere_at_all") == code_digest()


def test_the_digest_of_supernet_training_covers_what_trains_and_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "_spec", lambda name, really=module._spec: seen.append(name) or really(name))
    code_digest.cache_clear()
    code_digest("opselect.selectors.supernets.training", "opselect.spaces.nasbench201.space")
    trains = {"selectors.supernets.training", "selectors.supernets.settings", "selectors.decisions", "selectors.task"}
    draws = {
        "spaces.seeds",
        "spaces.augmentation",
        "spaces.nasbench201.network",
        "spaces.nasbench201.operations",
        "spaces.images",
    }
    assert {f"opselect.{name}" for name in trains | draws} <= set(seen)
    code_digest.cache_clear()
