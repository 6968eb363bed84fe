"""The registry: entry points, ours like a stranger's, and what is said when a name is none."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import pytest

from opselect.spaces import registry
from opselect.spaces.errors import UserError
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.registry import KINDS, UnknownName, did_you_mean, load, names

PROXIES = Path(__file__).parents[2] / "selectors" / "proxies"

Claim = tuple[str, str, str]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that just these entry points are installed: (kind, name, value)."""

    def install(*claims: Claim) -> None:
        points = EntryPoints(EntryPoint(name, value, f"opselect.{kind}") for kind, name, value in claims)
        monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))

    return install


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)])
def test_every_declared_name_loads(kind: str, name: str) -> None:
    assert load(kind, name) is not None


def test_names_are_sorted_and_load_what_they_stand_for() -> None:
    for kind in KINDS:
        assert names(kind) == tuple(sorted(set(names(kind))))
        assert names(kind)
    assert load("spaces", "digits201") is digits201
    assert "nasbench201" in names("spaces")


def test_every_proxy_file_declares_a_proxy_and_every_proxy_is_callable() -> None:
    groups = ("opselect.proxies", "opselect.combinations")
    declaring = {entry.module.rpartition(".")[2] for group in groups for entry in entry_points(group=group)}
    files = {path.stem for path in PROXIES.glob("*.py")} - {"interface", "activations", "kernels", "ranking"}
    assert files
    assert files <= declaring, "declare it in pyproject.toml and install again"
    assert all(callable(load("proxies", name)) for name in names("proxies"))


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("proxies", "nwott", "named 'nwott'; did you mean 'nwot'? known are "),
        ("selectors", "zero-cost-tp", "named 'zero-cost-tp'; did you mean 'zero-cost-pt'? known are "),
        ("spaces", "NASBench201", "named 'NASBench201'; did you mean 'nasbench201'? known are "),
        ("spaces", "zzzz", "named 'zzzz'; known are "),
        ("tables", "", "named ''; known are "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(kind: str, name: str, expected: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load(kind, name)
    message = str(caught.value)
    assert expected in message
    assert sum(f"{known}," in f"{message}," or f"{known} and" in message for known in names(kind)) >= min(
        len(names(kind)), 5
    )
    assert isinstance(caught.value, UserError)
    assert "\n" not in message


def test_nothing_is_known_of_a_kind_that_nobody_declares(installed: Callable[..., None]) -> None:
    installed()
    assert names("proxies") == ()
    with pytest.raises(UnknownName, match=r"known are none$"):
        load("proxies", "nwot")
    assert did_you_mean("x", ()) == "; known are none"


def test_a_stranger_s_part_travels_the_same_road_as_ours(installed: Callable[..., None]) -> None:
    installed(
        ("proxies", "root", "math:sqrt"), ("proxies", "exponential", "math:exp"), ("selectors", "root", "math:pi")
    )
    assert names("proxies") == ("exponential", "root")
    assert load("proxies", "root")(9) == 3


def test_a_name_that_two_packages_claim_is_an_error_naming_both(installed: Callable[..., None]) -> None:
    installed(("proxies", "root", "math:sqrt"), ("proxies", "root", "cmath:sqrt"))
    assert names("proxies") == ("root",)
    with pytest.raises(UnknownName, match=r"'root' is claimed by .*\(cmath:sqrt\) and .*\(math:sqrt\)"):
        load("proxies", "root")


def test_a_part_that_is_found_twice_on_the_path_is_one_part(installed: Callable[..., None]) -> None:
    # An editable install and its metadata on the path: the same declaration, seen twice.
    installed(("proxies", "root", "math:sqrt"), ("proxies", "root", "math:sqrt"))
    assert load("proxies", "root")(4) == 2


def test_names_are_listed_without_importing_anything(installed: Callable[..., None]) -> None:
    installed(("proxies", "broken", "no_such_module_anywhere:proxy"))
    assert names("proxies") == ("broken",)
    with pytest.raises(ModuleNotFoundError):
        load("proxies", "broken")
