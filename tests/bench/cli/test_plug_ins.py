"""Plug-ins on the command line: the names of all, and what became of every promise."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import numpy as np
import pytest

from opselect.selectors.proxies.interface import Combination
from opselect.spaces.darts.genotypes import library
from tests.bench.cli.examples import refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


def test_list_names_everything_that_is_registered(opselect: CommandLine) -> None:
    status, output, error = opselect("list")
    assert (status, error) == (0, "")
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "spaces",
        "images",
        "tables",
        "selectors",
        "supernets",
        "scores",
        "proxies",
        "combinations",
    ]
    assert (
        opselect("list", "spaces")[1]
        == "spaces: darts, darts-original, darts-s1, darts-s2, darts-s3, darts-s4, digits201, nasbench201\n"
    )
    found = json.loads(opselect("list", "--json")[1])
    assert found["tables"] == ["additive", "digits201", "nasbench201", "poisoned"]
    assert "zero-cost-pt" in found["selectors"]
    assert set(json.loads(opselect("list", "proxies", "--json")[1])) == {"proxies"}
    assert "genotypes" not in found
    assert tuple(json.loads(opselect("list", "genotypes", "--json")[1])["genotypes"]) == tuple(library())
    message = refused(opselect("list", "selector"))
    assert message.startswith("no kind of things named 'selector'; did you mean 'selectors'? known are spaces")


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
