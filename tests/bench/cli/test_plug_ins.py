"""Plug-ins on the command line: the names of all, and what became of every promise."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import TypeAlias

import numpy as np
import pytest

from opselect.selectors.proxies.interface import Combination
from opselect.spaces.darts.genotypes import library
from tests.bench.cli.examples import refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


def test_list_names_everything_that_is_registered_with_a_line_each(opselect: CommandLine) -> None:
    status, output, error = opselect("list")
    assert (status, error) == (0, "")
    assert [line for line in output.splitlines() if line and not line.startswith(" ")] == [
        "spaces:",
        "images:",
        "tables:",
        "selectors:",
        "supernets:",
        "scores:",
        "proxies:",
        "combinations:",
        "experiments:",
    ]
    assert "  magnitude       DARTS: keep the operation with the largest architecture parameter.\n" in output
    heading, first, *_ = opselect("list", "spaces")[1].splitlines()
    assert (heading, first.split()[0], first.endswith("28 edges, 7 operations each.")) == ("spaces:", "darts", True)
    found = json.loads(opselect("list", "--json")[1])
    assert list(found["tables"]) == ["additive", "digits201", "nasbench201", "poisoned"]
    assert found["proxies"]["nwot"] == "Log-determinant of the agreement of ReLU codes; larger is better."
    assert set(json.loads(opselect("list", "proxies", "--json")[1])) == {"proxies"}
    assert found["experiments"]["digits201"].startswith("The default experiment: nine selectors")
    assert "genotypes" not in found
    assert tuple(json.loads(opselect("list", "genotypes", "--json")[1])["genotypes"]) == tuple(library())
    message = refused(opselect("list", "selector"))
    assert message.startswith("no kind of things named 'selector'; did you mean 'selectors'? known are selectors")


def test_every_listed_thing_has_a_first_line(opselect: CommandLine) -> None:
    for kind in ("images", "selectors", "supernets", "scores", "proxies", "combinations", "experiments", "genotypes"):
        lines = json.loads(opselect("list", kind, "--json")[1])[kind]
        without = [name for name, line in lines.items() if not line]
        assert without == (["tiny"] if kind == "images" else []), "the one that this test registers has no source"


def test_show_says_what_a_part_is_and_what_can_be_set(opselect: CommandLine) -> None:
    status, output, error = opselect("show", "zero-cost-pt")
    assert (status, error) == (0, "")
    assert output.startswith("selector zero-cost-pt\nZero-Cost-PT: perturbation with a proxy on the untrained supernet")
    (line,) = (line for line in output.splitlines() if "validation_batches" in line)
    assert line.split()[:4] == ["validation_batches", "100", "int", "≥"]
    assert f"from opselect.selectors.methods:ZeroCostPT, opselect {version('opselect')}\n" in output
    (found,) = json.loads(opselect("show", "zero-cost-pt", "--json")[1])
    (proxy,) = (setting for setting in found["settings"] if setting["name"] == "proxy")
    assert (found["kind"], proxy["default"]) == ("selectors", "nwot")


def test_show_says_everything_that_has_the_name(opselect: CommandLine) -> None:
    found = json.loads(opselect("show", "digits201", "--json")[1])
    assert [each["kind"] for each in found] == ["spaces", "tables", "experiments"]
    (only,) = json.loads(opselect("show", "digits201", "--kind", "experiments", "--json")[1])
    assert only == found[-1]
    assert opselect("show", "DARTS_V2")[1].startswith("genotype DARTS_V2\n")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("darts_v2", "DARTS_V2"), ("CIFAR10", "cifar10"), ("DARTS-PT", "darts-pt"), ("NASWOT", "nwot")],
)
def test_case_and_hyphens_do_not_hide_the_nearest_name(opselect: CommandLine, given: str, nearest: str) -> None:
    message = refused(opselect("show", given))
    assert message.startswith(f"nothing is registered as {given!r}; did you mean {nearest!r}? known are {nearest}")
    listed, _, count = message.rpartition(" and ")
    assert listed.count(",") == 4
    assert count.endswith(" more")


def test_conformance_says_for_every_promise_what_became_of_it(opselect: CommandLine) -> None:
    status, output, error = opselect("conformance", "random", "--kind", "selectors")
    assert (status, error) == (0, "")
    lines = output.splitlines()
    assert lines[0] == "selector random"
    assert lines[1].startswith("  kept            valid architecture: The selected architecture is one of the space")
    assert lines[-1] == "  not applicable  larger is better: it does not depend on supernet, alpha or accuracies"
    # Without a kind, whatever has the name is checked.
    status, output, _ = opselect("conformance", "random", "--json")
    assert status == 0
    assert {each["kind"] for each in json.loads(output)} == {"selectors", "scores"}
    assert opselect("conformance", "by-score", "--set", "score=alpha")[0] == 0


def test_conformance_exits_with_1_and_says_how_to_mend_a_broken_promise(
    opselect: CommandLine, planted: Callable[..., AbstractContextManager[None]]
) -> None:
    def upside_down(scores: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(scores).all(axis=1), -scores.sum(axis=1), np.nan)

    with planted(combinations={"upside-down": Combination(("params", "flops"), upside_down)}):
        status, output, error = opselect("conformance", "upside-down")
        (line,) = (line for line in output.splitlines() if line.startswith("  broken"))
        assert (status, error) == (1, "")
        assert line.startswith(
            "  broken          better everywhere is better: the member that is worst by every proxy "
        )
    with planted(scores={"text": "no score"}):
        status, output, _ = opselect("conformance", "text")
        assert status == 1
        assert "can be loaded: score 'text': it is a str, expected a RegisteredScore" in output


def test_conformance_refuses_what_it_cannot_check(opselect: CommandLine) -> None:
    assert refused(opselect("conformance", "nwott")).startswith(
        "nothing is registered as 'nwott'; did you mean 'nwot'?"
    )
    assert refused(opselect("conformance", "nwot", "--kind", "proxy")).startswith("no kind of things named 'proxy'")
    assert refused(opselect("conformance", "nwot", "--kind", "selectors")).startswith("no selector named 'nwot'")
    assert "give it with --set score=VALUE" in refused(opselect("conformance", "by-score"))
