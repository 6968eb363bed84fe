"""The NAS-Bench-201 cell: its text, its numbering, and what happens to a text that is none."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opselect.spaces.nasbench201.space import EDGES, OPERATIONS, SIZE, digits201, nasbench201
from opselect.spaces.space import Architecture, InvalidArchitecture, SearchSpace

EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"

pieces = st.sampled_from(
    [
        *OPERATIONS,
        "|",
        "+",
        "~",
        "~0|",
        "~1|",
        "~2|",
        "|+|",
        "0",
        "1",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "\N{SUPERSCRIPT TWO}",
        " ",
        "\n",
        "",
    ]
)
"""What arch strings are made of, and characters that look like it."""


def complaint(text: str) -> str:
    """The message of a text that must be refused: one short sentence."""
    with pytest.raises(InvalidArchitecture) as caught:
        nasbench201.parse(text)
    message = str(caught.value)
    assert message.startswith("arch string")
    assert "\n" not in message
    assert len(message) < 250
    return message


def test_both_spaces_are_search_spaces_of_one_cell() -> None:
    spaces: tuple[SearchSpace, ...] = (nasbench201, digits201)
    for space in spaces:
        assert [(edge.source, edge.target) for edge in space.edges] == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
        assert all(edge.operations == OPERATIONS for edge in space.edges)
    # REFERENCE.md 0: the order of the operations in the published code, by which accuracies are indexed.
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def test_an_arch_string_names_the_operation_on_every_edge() -> None:
    architecture = nasbench201.parse(EXAMPLE)
    found = {edge.name: operation for edge, operation in zip(EDGES, architecture.operations, strict=True)}
    assert found == {
        "0→1": "nor_conv_3x3",
        "0→2": "none",
        "1→2": "skip_connect",
        "0→3": "none",
        "1→3": "nor_conv_1x1",
        "2→3": "avg_pool_3x3",
    }
    assert nasbench201.parse(f"  {EXAMPLE}\n") == architecture


def test_every_architecture_comes_back_from_its_text_and_its_number() -> None:
    texts = set()
    for number, architecture in enumerate(nasbench201.enumerate()):
        text = nasbench201.format(architecture)
        texts.add(text)
        assert nasbench201.parse(text) == architecture
        assert nasbench201.index(architecture) == number
        assert nasbench201.at(number) == architecture
    assert len(texts) == SIZE == 15625


def test_numbers_are_base_5_with_the_first_edge_most_significant() -> None:
    def operations(number: int) -> tuple[str, ...]:
        return nasbench201.at(number).operations

    assert operations(0) == ("none",) * 6
    assert operations(1) == ("none",) * 5 + ("skip_connect",)
    assert operations(5**5) == ("skip_connect",) + ("none",) * 5
    assert operations(SIZE - 1) == ("avg_pool_3x3",) * 6
    # REFERENCE.md 0 writes architectures as digits: seed 0 of Zero-Cost-PT chose 213123.
    assert nasbench201.index(Architecture(tuple(OPERATIONS[int(digit)] for digit in "213123"))) == int("213123", base=5)


@pytest.mark.parametrize("number", [-1, SIZE, 10**30])
def test_a_number_outside_the_space_is_refused(number: int) -> None:
    with pytest.raises(InvalidArchitecture, match=f"architecture index {number}, expected 0 to 15624"):
        nasbench201.at(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'': 1 node(s) joined by '+', expected 3"),
        ("|nor_conv_3x3~0|", "1 node(s)"),
        (EXAMPLE + "+|none~0|none~1|none~2|none~3|", "4 node(s)"),
        ("++", "node 1: '' is not 1 term(s) operation~source between bars"),
        (EXAMPLE.removeprefix("|"), "node 1: 'nor_conv_3x3~0|' is not 1 term(s)"),
        (EXAMPLE.removesuffix("|"), "node 3: '|none~0|nor_conv_1x1~1|avg_pool_3x3~2' is not 3 term(s)"),
        (
            EXAMPLE.replace("|none~0|skip", "|none~0|none~0|skip"),
            "node 2: '|none~0|none~0|skip_connect~1|' is not 2 term(s)",
        ),
        (
            EXAMPLE.replace("skip_connect", "skip"),
            "node 2: 'skip~1' is no operation~source; operations are none, skip_connect",
        ),
        (EXAMPLE.replace("skip_connect~1", "skip_connect"), "'skip_connect' is no operation~source"),
        (EXAMPLE.replace("skip_connect~1", "~1"), "'~1' is no operation~source"),
        (EXAMPLE.replace("skip_connect~1", "skip_connect~-1"), "'skip_connect~-1' is no operation~source"),
        (EXAMPLE.replace("skip_connect~1", "skip_connect~1~1"), "'skip_connect~1~1' is no operation~source"),
        (EXAMPLE.replace("skip_connect~1", "SKIP_CONNECT~1"), "'SKIP_CONNECT~1' is no operation~source"),
        # \d and int() would read an Arabic digit one as 1
        (EXAMPLE.replace("~1|+", "~\N{ARABIC-INDIC DIGIT ONE}|+"), "is no operation~source"),
        (EXAMPLE.replace("~1|+", "~\N{SUPERSCRIPT ONE}|+"), "is no operation~source"),
        (EXAMPLE.replace("skip_connect~1", "skip_connect~0"), "'skip_connect~0' comes from node 0, expected node 1"),
        (
            EXAMPLE.replace("avg_pool_3x3~2", "avg_pool_3x3~7"),
            "node 3: 'avg_pool_3x3~7' comes from node 7, expected node 2",
        ),
        (EXAMPLE.replace("avg_pool_3x3~2", "avg_pool_3x3~02"), "comes from node 02, expected node 2"),
        ("x" * 10**6, "…': 1 node(s)"),
        ("+" * 10**6, "1000001 node(s)"),
        ("|\n|+|\n|\n|+|\n|\n|\n|", r"node 1: '\n' is no operation~source"),
    ],
)
def test_a_text_that_is_no_arch_string_says_what_is_wrong(text: str, expected: str) -> None:
    assert expected in complaint(text)


@given(st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join)))
def test_any_text_is_an_architecture_or_invalid(text: str) -> None:
    try:
        architecture = nasbench201.parse(text)
    except InvalidArchitecture:
        complaint(text)
    else:
        assert nasbench201.format(architecture) == text.strip()


@given(st.integers(0, SIZE - 1), st.integers(0, 100), st.integers(0, 3), pieces)
def test_a_changed_arch_string_is_an_architecture_or_invalid(number: int, start: int, length: int, piece: str) -> None:
    text = nasbench201.format(nasbench201.at(number))
    changed = text[:start] + piece + text[start + length :]
    try:
        architecture = nasbench201.parse(changed)
    except InvalidArchitecture:
        complaint(changed)
    else:
        assert nasbench201.format(architecture) == changed.strip()


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (("none",) * 5, "architecture with 5 operations, expected one for each of the 6 edges"),
        ((), "architecture with 0 operations"),
        (("none",) * 4 + ("max_pool_3x3", "none"), "edge 1→3: unknown operation 'max_pool_3x3', expected one of none"),
    ],
)
def test_an_architecture_of_another_space_is_refused(operations: tuple[str, ...], expected: str) -> None:
    architecture = Architecture(operations)
    for function in (nasbench201.format, nasbench201.index, nasbench201.canonical):
        with pytest.raises(InvalidArchitecture, match=expected):
            function(architecture)
    with pytest.raises(InvalidArchitecture, match=expected):
        nasbench201.network(architecture, 3, 10, seed=0)


def test_samples_are_reproducible_and_uniform_on_every_edge() -> None:
    def drawn(seed: int, count: int) -> list[Architecture]:
        generator = np.random.default_rng(seed)
        return [nasbench201.sample(generator) for _ in range(count)]

    assert drawn(0, 5) == drawn(0, 5) != drawn(1, 5)
    count = 3000
    operations = np.array([architecture.operations for architecture in drawn(0, count)])
    for edge, operation in itertools.product(range(6), OPERATIONS):
        share = np.mean(operations[:, edge] == operation)
        assert share == pytest.approx(0.2, abs=5 * np.sqrt(0.16 / count))


def test_the_supernet_has_the_published_size() -> None:
    supernet = nasbench201.supernet(image_channels=3, classes=10, seed=0)
    # REFERENCE.md 0: the logs of Zero-Cost-PT print 1.686106MB.
    assert sum(parameter.numel() for parameter in supernet.parameters()) == 1_686_106


def test_a_resized_space_has_the_same_cell_and_other_networks() -> None:
    small = nasbench201.resized(channels=4, cells=1)
    assert (small.name, small.edges) == (nasbench201.name, nasbench201.edges)
    assert small.supernet(3, 10, seed=0).stem[0].out_channels == 4
    # Three stages of one cell with a down-sampling block before the second and the third.
    assert len(small.supernet(3, 10, seed=0).body) == 5
    assert nasbench201.resized(channels=None, cells=None) == nasbench201
    assert nasbench201.resized(channels=None, cells=2).channels == 16


def test_networks_are_determined_by_their_seed_and_leave_the_global_stream_alone() -> None:
    architecture = nasbench201.parse(EXAMPLE)
    before = torch.get_rng_state()
    first, again, other = (digits201.network(architecture, 1, 10, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])
    images = torch.zeros(2, 1, 12, 12)
    assert digits201.network(architecture, 1, 10, seed=0)(images).shape == (2, 10)
