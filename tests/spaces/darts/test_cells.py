"""The edges of the DARTS cells and what competes on them."""

import json
from pathlib import Path

import pytest

from opselect.spaces.darts.cells import CELLS, EDGES, ORIGINAL_OPERATIONS, SPACES
from opselect.spaces.darts.genotypes import OPERATIONS

FACTS = Path(__file__).parents[4] / "shared" / "data" / "darts_spaces.json"


def test_every_inner_node_can_be_entered_from_all_nodes_before_it() -> None:
    assert EDGES[:5] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [target for _, target in EDGES] == [2] * 2 + [3] * 3 + [4] * 4 + [5] * 5
    # REFERENCE.md 4: node by node, inputs ascending, so that topology nodes own edges 0-1, 2-4, 5-8 and 9-13.
    assert list(EDGES) == sorted(EDGES, key=lambda edge: edge[::-1])


def test_the_original_operations_are_those_of_darts_in_its_order() -> None:
    assert ORIGINAL_OPERATIONS == (
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    assert set(SPACES["original"]["normal"]) == set(SPACES["original"]["reduce"]) == {ORIGINAL_OPERATIONS}


@pytest.mark.parametrize("space", SPACES)
def test_every_edge_of_both_cells_has_distinct_known_operations(space: str) -> None:
    assert tuple(SPACES[space]) == CELLS
    for operations_per_edge in SPACES[space].values():
        assert len(operations_per_edge) == len(EDGES) == 14
        for operations in operations_per_edge:
            assert len(set(operations)) == len(operations) >= 2
            assert set(operations) <= set(OPERATIONS)


def test_the_spaces_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SPACES["s6"] = SPACES["s1"]  # type: ignore[index]
    with pytest.raises(TypeError):
        SPACES["s1"]["normal"] = ()  # type: ignore[index]


def test_s1_to_s5_are_those_of_the_published_code() -> None:
    if not FACTS.exists():
        pytest.skip(
            f"the published operation lists are not at {FACTS}: they lie there only where opselect is developed"
        )
    published = json.loads(FACTS.read_text())["operations_per_edge"]
    ours = {
        space: {cell: [list(operations) for operations in per_edge] for cell, per_edge in cells.items()}
        for space, cells in SPACES.items()
        if space != "original"
    }
    assert ours == published
