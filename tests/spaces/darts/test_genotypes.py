"""Genotypes: every notation there and back, what is refused and how, what cells look like, and the published ones."""

import json
import subprocess
import sys
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opselect.spaces.darts.cells import CELLS, EDGES, SPACES, Cell
from opselect.spaces.darts.genotypes import (
    LONGEST_TEXT,
    MOST_INNER_NODES,
    OPERATIONS,
    Genotype,
    InvalidGenotype,
    Pair,
    cell_depth,
    cell_width,
    format_genotype,
    format_genotype_json,
    library,
    parameter_free_share,
    parse_genotype,
    skip_connections,
)
from opselect.spaces.errors import UserError

FACTS = Path(__file__).parents[4] / "shared" / "data" / "darts_spaces.json"

# The second cells of the DARTS paper, written out here as its code writes them.
EXAMPLE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=range(2, 6))"
)
EXAMPLE_GENOTYPE = Genotype(
    normal=(
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("skip_connect", 0),
        ("dil_conv_3x3", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
    ),
    reduce_concat=(2, 3, 4, 5),
)
# The smallest one, with a place for everything that a value can be.
SMALL = (
    "Genotype(normal=[('none', 0), ('noise', 1)], normal_concat=[2], "
    "reduce=[('none', 0), ('noise', 1)], reduce_concat=[2])"
)


def complaint(text: str) -> str:
    """The message about a text that must be refused: one sentence of moderate length."""
    with pytest.raises(InvalidGenotype) as caught:
        parse_genotype(text)
    message = str(caught.value)
    assert message.startswith("genotype")
    assert "\n" not in message
    assert len(message) < 420
    return message


def nested(genotype: Genotype, cell: Cell) -> list[list[list[object]]]:
    return [[list(pair) for pair in pairs] for pairs in genotype.pairs(cell)]


Fields: TypeAlias = tuple[tuple[Pair, ...], tuple[int, ...], tuple[Pair, ...], tuple[int, ...]]
"""What a genotype is made of, in its order. Strategies draw these and tests make the genotype: in tests, its types are
checked with the help of random numbers, which hypothesis does not allow in a strategy."""


@st.composite
def cells(draw: st.DrawFn) -> tuple[tuple[Pair, ...], tuple[int, ...]]:
    """The pairs of any cell and what it concatenates, in any order."""
    pairs: list[Pair] = []
    nodes = draw(st.integers(1, MOST_INNER_NODES))
    for node in range(2, 2 + nodes):
        inputs = draw(st.lists(st.integers(0, node - 1), min_size=2, max_size=2, unique=True))
        pairs += [(draw(st.sampled_from(OPERATIONS)), source) for source in inputs]
    concat = draw(st.lists(st.integers(2, 1 + nodes), min_size=1, unique=True))
    return tuple(pairs), tuple(sorted(concat) if draw(st.booleans()) else concat)


@st.composite
def genotypes(draw: st.DrawFn) -> Fields:
    """The fields of any genotype."""
    return (*draw(cells()), *draw(cells()))


@st.composite
def notations(draw: st.DrawFn) -> tuple[Fields, str]:
    """The fields of a genotype and a text for it in any of the notations that the field uses."""
    fields = draw(genotypes())
    in_json = draw(st.booleans())
    written: dict[str, str] = {}
    for cell, pairs, concat in ((CELLS[0], *fields[:2]), (CELLS[1], *fields[2:])):
        row: list[object] = [list(pair) if draw(st.booleans()) else pair for pair in pairs]
        if draw(st.booleans()):
            row = [tuple(row[at : at + 2]) if draw(st.booleans()) else row[at : at + 2] for at in range(0, len(row), 2)]
        if in_json:
            written |= {cell: json.dumps(row), f"{cell}_concat": json.dumps(concat)}
            continue
        consecutive = range(concat[0], concat[-1] + 1)
        nodes = [concat, list(concat), *([consecutive] if concat == tuple(consecutive) else [])]
        written |= {
            cell: repr(tuple(row) if draw(st.booleans()) else row),
            f"{cell}_concat": repr(draw(st.sampled_from(nodes))),
        }
    names = draw(st.permutations(list(written)))
    space = draw(st.sampled_from(["", " ", "\n", "\n\t  ", " \n"]))
    if in_json:
        members = f",{space}".join(f'"{name}":{space}{written[name]}' for name in names)
        return fields, f"{space}{{{members}}}{space}"
    values = f",{space}".join(f"{name}{space}={space}{written[name]}" for name in names)
    before = draw(st.sampled_from(["", "genotype = ", "DARTS_V2=", "\n\nx = "]))
    after = draw(st.sampled_from(["", ",", ", # 3.35 million parameters\n"]))
    return fields, f"{space}{before}Genotype({space}{values}{after}{space}){space}"


# What a genotype is, and what it does


def test_a_genotype_groups_its_pairs_by_node() -> None:
    assert EXAMPLE_GENOTYPE.pairs("normal")[3] == (("skip_connect", 0), ("dil_conv_3x3", 2))
    assert EXAMPLE_GENOTYPE.pairs("reduce")[0] == (("max_pool_3x3", 0), ("max_pool_3x3", 1))
    assert EXAMPLE_GENOTYPE.inner_nodes("normal") == range(2, 6)
    assert parse_genotype(SMALL).inner_nodes("reduce") == range(2, 3)
    assert replace(EXAMPLE_GENOTYPE, reduce_concat=(5, 3)).concat("reduce") == (5, 3)


def test_equal_genotypes_are_one_key_and_cannot_be_changed() -> None:
    assert {EXAMPLE_GENOTYPE: 1}[parse_genotype(EXAMPLE)] == 1
    assert hash(EXAMPLE_GENOTYPE) == hash(parse_genotype(EXAMPLE))
    assert replace(EXAMPLE_GENOTYPE, normal_concat=(2, 3, 5, 4)) != EXAMPLE_GENOTYPE
    with pytest.raises(AttributeError):
        EXAMPLE_GENOTYPE.normal = ()  # type: ignore[misc]


def test_the_module_needs_no_heavy_library() -> None:
    program = (
        "import sys, opselect.spaces.darts.genotypes as module\nmodule.library()\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# There and back


def test_the_fields_text_is_read_and_written_letter_by_letter() -> None:
    assert parse_genotype(EXAMPLE) == EXAMPLE_GENOTYPE
    assert format_genotype(EXAMPLE_GENOTYPE) == EXAMPLE


def test_what_is_written_can_be_pasted_into_the_fields_code() -> None:
    def as_they_define_it(**fields: object) -> dict[str, object]:
        return fields

    read = eval(format_genotype(EXAMPLE_GENOTYPE), {"Genotype": as_they_define_it})
    assert list(read) == ["normal", "normal_concat", "reduce", "reduce_concat"]
    assert read["normal"] == list(EXAMPLE_GENOTYPE.normal)
    assert read["reduce_concat"] == range(2, 6)


@pytest.mark.parametrize(
    ("concat", "written"),
    [
        ((2, 3, 4, 5), "range(2, 6)"),
        ((4, 5), "range(4, 6)"),
        ((3,), "range(3, 4)"),
        ((2, 4), "[2, 4]"),
        ((5, 4), "[5, 4]"),
    ],
)
def test_consecutive_nodes_are_written_as_a_range(concat: tuple[int, ...], written: str) -> None:
    text = format_genotype(replace(EXAMPLE_GENOTYPE, normal_concat=concat))
    assert f"normal_concat={written}, reduce=" in text
    assert parse_genotype(text).normal_concat == concat


@pytest.mark.parametrize(
    "text",
    [
        f"DARTS_V2 = {EXAMPLE}",
        f"\n\n  {EXAMPLE}  # 3.35 million parameters\n",
        EXAMPLE.replace("), (", "),\n    ("),
        EXAMPLE.replace("[", "(").replace("]", ")"),
        EXAMPLE.replace("range(2, 6)", "[2, 3, 4, 5]"),
        EXAMPLE.replace("range(2, 6)", "(2, 3, 4, 5,)"),
        EXAMPLE.replace("range(2, 6)", "range(2, 6, 1)"),
        EXAMPLE.replace("('", '["').replace("',", '",').replace("),", "],").replace(")]", "]]").replace("6],", "6),"),
        # Grouped by node, as github.com/khanrc/pt.darts prints it, and with tuples, as D-X-Y/AutoDL-Projects does.
        "Genotype(normal=[[('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], [('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], "
        "[('sep_conv_3x3', 1), ('skip_connect', 0)], [('skip_connect', 0), ('dil_conv_3x3', 2)]], "
        "normal_concat=range(2, 6), reduce=((('max_pool_3x3', 0), ('max_pool_3x3', 1)), (('skip_connect', 2), "
        "('max_pool_3x3', 1)), (('max_pool_3x3', 0), ('skip_connect', 2)), (('skip_connect', 2), "
        "('max_pool_3x3', 1))), reduce_concat=range(2, 6))",
        "Genotype(reduce_concat=range(2, 6), "
        + EXAMPLE.removeprefix("Genotype(").removesuffix(", reduce_concat=range(2, 6))")
        + ")",
    ],
)
def test_other_ways_to_write_it_are_the_same_genotype(text: str) -> None:
    assert text != EXAMPLE
    assert parse_genotype(text) == EXAMPLE_GENOTYPE


def test_json_holds_four_lists() -> None:
    content = json.loads(format_genotype_json(EXAMPLE_GENOTYPE))
    assert list(content) == ["normal", "normal_concat", "reduce", "reduce_concat"]
    assert content["normal"][7] == ["dil_conv_3x3", 2]
    assert content["reduce_concat"] == [2, 3, 4, 5]
    grouped = content | {cell: nested(EXAMPLE_GENOTYPE, cell) for cell in CELLS}
    for text in (json.dumps(content), json.dumps(content, indent=4), "\n" + json.dumps(grouped)):
        assert parse_genotype(text) == EXAMPLE_GENOTYPE


@given(genotypes())
def test_any_genotype_comes_back_from_what_is_written(fields: Fields) -> None:
    genotype = Genotype(*fields)
    for write in (format_genotype, format_genotype_json):
        text = write(genotype)
        assert "\n" not in text
        assert parse_genotype(text) == genotype
        assert write(parse_genotype(text)) == text


@given(notations())
def test_any_notation_of_a_genotype_is_that_genotype(case: tuple[Fields, str]) -> None:
    fields, text = case
    assert parse_genotype(text) == Genotype(*fields)


def test_the_largest_genotype_fits_however_it_is_laid_out() -> None:
    largest: list[Pair] = []
    for node in range(2, 2 + MOST_INNER_NODES):
        largest += [("max_pool_3x3", 0), ("max_pool_3x3", node - 1)]
    concat = tuple(range(2, 2 + MOST_INNER_NODES))
    genotype = Genotype(tuple(largest), concat, tuple(largest), concat)
    text = json.dumps(json.loads(format_genotype_json(genotype)), indent=4)
    assert len(text) < LONGEST_TEXT
    assert parse_genotype(text) == genotype
    # However far a range goes, it is not taken for one that ends with the last node.
    consecutive = format_genotype(genotype)
    assert "range(2, 10)" in consecutive
    assert parse_genotype(consecutive) == genotype
    for end in (11, 12, 999_999):
        assert "normal_concat: 10 is no inner node" in complaint(consecutive.replace("(2, 10)", f"(2, {end})", 1))


# What is refused


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "('dil_conv_3x3', 2)",
            "('dil_conv_33', 2)",
            "genotype, normal cell, node 5, pair 2: unknown operation 'dil_conv_33'; did you mean 'dil_conv_3x3'?",
        ),
        ("('dil_conv_3x3', 2)", "('nor_conv_3x3', 2)", "unknown operation 'nor_conv_3x3'; did you mean 'sep_conv_3x3'"),
        (
            "('dil_conv_3x3', 2)",
            "('dil_conv_3x3', 5)",
            "node 5, pair 2: input 5, expected a node before node 5, 0 to 4",
        ),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", "input -1, expected a node before node 5"),
        ("('max_pool_3x3', 0)", "('max_pool_3x3', 2)", "genotype, reduce cell, node 2, pair 1: input 2, expected a"),
        (
            "('dil_conv_3x3', 2)",
            "('dil_conv_3x3', 0)",
            "genotype, normal cell, node 5: both pairs have input 0, expected two different inputs",
        ),
        (
            ", ('dil_conv_3x3', 2)",
            "",
            "genotype, normal cell: 7 (operation, input) pair(s), expected two for each inner node, an even number "
            "from 2 to 16",
        ),
        ("[('sep_conv_3x3', 0)", "[('skip_connect', 0)] * 2 + [('skip_connect', 0)", "would have to be evaluated"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2, 3)", "node 5, pair 2: ('dil_conv_3x3', 2, 3) is no pair"),
        ("('dil_conv_3x3', 2)", "(2, 'dil_conv_3x3')", "(2, 'dil_conv_3x3') is no pair (operation, number of the"),
        ("('dil_conv_3x3', 2)", "'dil_conv_3x3'", "node 5, pair 2: 'dil_conv_3x3' is no pair"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', (2,))", "('dil_conv_3x3', (2,)) is no pair"),
        ("('dil_conv_3x3', 2)", "()", "genotype, normal cell, node 2: ('sep_conv_3x3', 0), expected two (operation"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)", "'True' would have to be evaluated"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2.0)", "'2.0' would have to be evaluated"),
        ("('dil_conv_3x3', 2)", "(b'dil_conv_3x3', 2)", "would have to be evaluated"),
        ("('dil_conv_3x3', 2)", "(dil_conv_3x3, 2)", "'normal', line 1: 'dil_conv_3x3' would have to be evaluated"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 1234567)", "'normal', line 1: a number of more than six digits"),
        ("('dil_conv_3x3', 2)", f"('{'x' * 5000}', 2)", "unknown operation 'xxxxx"),
        ("range(2, 6)", "[2, 3, 4, 6]", "genotype, normal_concat: 6 is no inner node, expected distinct inner nodes"),
        ("range(2, 6)", "range(1, 6)", "normal_concat: 1 is no inner node, expected distinct inner nodes, some of 2"),
        ("range(2, 6)", "range(6)", "normal_concat: 0 is no inner node"),
        ("range(2, 6)", "[2, 3, 3]", "normal_concat: node 3 twice, expected distinct inner nodes, some of 2 to 5"),
        ("range(2, 6)", "[]", "normal_concat: no node, expected"),
        ("range(2, 6)", "range(6, 2)", "normal_concat: no node, expected"),
        ("range(2, 6)", "4", "normal_concat: 4, expected a list or a range of inner nodes"),
        ("range(2, 6)", "['2']", "normal_concat: ('2',), expected a list or a range of inner nodes"),
        ("range(2, 6)", "range(2, 6, 0)", "range(2, 6, 0), expected range(first, last + 1)"),
        ("range(2, 6)", "range('2', 6)", "range('2', 6), expected range(first, last + 1)"),
        ("range(2, 6)", "range()", "range(), expected range(first, last + 1)"),
        ("range(2, 6)", "range(1, 2, 3, 4)", "range(1, 2, 3, 4), expected range(first, last + 1)"),
        ("range(2, 6)", "range(stop=6)", "'range(stop=6)' would have to be evaluated"),
        ("range(2, 6)", "range(2, 2 + 4)", "'2 + 4' would have to be evaluated"),
        ("normal=[", "norml=[", "unknown keyword 'norml'; did you mean 'normal'?"),
        ("normal_concat=range(2, 6), ", "", "genotype text: without normal_concat, expected Genotype(normal=..."),
        (", reduce_concat", ", normal=[], reduce_concat", "genotype text: keyword 'normal' twice"),
        (
            ", reduce_concat",
            ", connects=None, reduce_concat",
            "genotype text: unknown keyword 'connects'; known are normal",
        ),
        (", reduce_concat=range(2, 6)", ", **more", "genotype text: unknown keyword '**'; known are normal"),
        ("normal=[", "normal=more, **[", "unknown keyword '**'"),
        ("normal=[", "[", "genotype text: value without a keyword, expected Genotype(normal=..."),
        ("reduce=[", "[", "genotype text, line 1: positional argument follows keyword argument, expected Genotype"),
        (EXAMPLE, "Genotype([], [2], [], [2])", "genotype text: value without a keyword, expected Genotype(normal=..."),
        ("Genotype", "Structure", "expected Genotype(normal=..., normal_concat=..., reduce=..., reduce_concat=...)"),
        (EXAMPLE, f"{EXAMPLE}; {EXAMPLE}", "expected Genotype(normal=..."),
        (EXAMPLE, f"a = b = {EXAMPLE}", "expected Genotype(normal=..."),
        (EXAMPLE, f"library['x'] = {EXAMPLE}", "expected Genotype(normal=..."),
        (EXAMPLE, EXAMPLE[:-1], "genotype text, line 1: '(' was never closed"),
        (EXAMPLE, "", "genotype text '': expected Genotype(normal=..."),
        (EXAMPLE, "DARTS_V2", "genotype text 'DARTS_V2': expected Genotype(normal=..."),
    ],
)
def test_a_text_that_is_no_genotype_says_what_is_wrong(old: str, new: str, expected: str) -> None:
    assert old in EXAMPLE
    assert expected in complaint(EXAMPLE.replace(old, new, 1))


def test_more_nodes_than_any_cell_has_are_refused() -> None:
    pairs = ", ".join(["('none', 0), ('none', 1)"] * (MOST_INNER_NODES + 1))
    text = f"Genotype(normal=[{pairs}], normal_concat=[2], reduce=[], reduce_concat=[2])"
    assert "genotype, normal cell: 18 (operation, input) pair(s), expected" in complaint(text)
    assert "genotype, reduce cell: 0 (operation, input) pair(s), expected" in complaint(
        text.replace(pairs, "('none', 0), ('none', 1)")
    )


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("[('none', 0)]", "genotype, normal cell, node 3: (('none', 0),), expected two (operation, input) pairs"),
        ("[('none', 0), ('none', 1), ('none', 2)]", "node 3: (('none', 0), ('none', 1), ('none', 2)), expected two"),
        ("('none', 0)", "node 3: ('none', 0), expected two (operation, input) pairs"),
        ("3", "node 3: 3, expected two (operation, input) pairs"),
        ("[(('none',), 0), ('none', 1)]", "node 3, pair 1: (('none',), 0) is no pair"),
        ("[('none', 0), ('none', 3)]", "node 3, pair 2: input 3, expected a node before node 3, 0 to 2"),
    ],
)
def test_the_grouped_notation_needs_two_pairs_a_node(node: str, expected: str) -> None:
    text = (
        f"Genotype(normal=[[('none', 0), ('none', 1)], {node}], normal_concat=[2], "
        "reduce=[('none', 0), ('none', 1)], reduce_concat=[2])"
    )
    assert expected in complaint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "genotype in JSON: Expecting property name"),
        ("{}", "genotype text: without normal and normal_concat and reduce and reduce_concat"),
        ("{'normal': []}", "genotype in JSON: Expecting property name enclosed in double quotes"),
        ('{"normal": [], "normal": []}', "genotype in JSON: key 'normal' twice"),
        ('{"normal": {"none": 0, "none": 1}}', "genotype in JSON: key 'none' twice"),
        ('{"normals": []}', "unknown keyword 'normals'; did you mean 'normal'?"),
        (f'{{"normal": {"9" * 5000}}}', "genotype in JSON: a number of more than six digits"),
    ],
)
def test_json_that_is_no_genotype_says_what_is_wrong(text: str, expected: str) -> None:
    assert expected in complaint(text)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("normal", '{"none": 0}', "genotype, normal cell: {'none': 0}, expected a list of (operation, input) pairs"),
        ("normal", "null", "genotype, normal cell: None, expected a list"),
        ("normal", '"none"', "genotype, normal cell: 'none', expected a list"),
        ("reduce", '[["none", 0.0], ["none", 1]]', "reduce cell, node 2, pair 1: ('none', 0.0) is no pair"),
        ("reduce", '[["none", 0], ["none", true]]', "reduce cell, node 2, pair 2: ('none', True) is no pair"),
        ("reduce", '[["none", 0], ["none", -1]]', "reduce cell, node 2, pair 2: input -1, expected a node before"),
        ("normal_concat", "[NaN]", "genotype, normal_concat: (nan,), expected a list or a range"),
        ("normal_concat", "[true]", "genotype, normal_concat: (True,), expected a list or a range"),
        ("normal_concat", "[2, [3]]", "genotype, normal_concat: (2, (3,)), expected a list or a range"),
        ("reduce_concat", "[7]", "genotype, reduce_concat: 7 is no inner node"),
    ],
)
def test_a_wrong_value_in_json_says_what_is_wrong(field: str, value: str, expected: str) -> None:
    members = {name: json.dumps(given) for name, given in json.loads(format_genotype_json(EXAMPLE_GENOTYPE)).items()}
    members[field] = value
    assert expected in complaint("{" + ",".join(f'"{name}":{given}' for name, given in members.items()) + "}")


def test_values_are_checked_like_texts() -> None:
    with pytest.raises(InvalidGenotype, match="normal cell, node 2, pair 1: unknown operation 'conv'"):
        replace(EXAMPLE_GENOTYPE, normal=(("conv", 0), *EXAMPLE_GENOTYPE.normal[1:]))
    # True is 1, but a genotype with it would be written as no genotype is.
    with pytest.raises(InvalidGenotype, match="reduce cell, node 2, pair 2: input True, expected a node before node 2"):
        replace(EXAMPLE_GENOTYPE, reduce=(("none", 0), ("none", True)), reduce_concat=(2,))
    with pytest.raises(InvalidGenotype, match="reduce_concat: a number of more than six digits is no inner node"):
        replace(EXAMPLE_GENOTYPE, reduce_concat=(10**5000,))
    with pytest.raises(UserError):
        replace(EXAMPLE_GENOTYPE, reduce=())
    with pytest.raises(ValueError, match="both pairs have input 0"):
        replace(EXAMPLE_GENOTYPE, reduce=(("none", 0), ("skip_connect", 0)), reduce_concat=(2,))


HOSTILE = {
    "a call": "Genotype(normal=print('run'), normal_concat=[2], reduce=[], reduce_concat=[2])",
    "an import": "Genotype(normal=[(__import__('os').system('touch run'), 0)], normal_concat=[2])",
    "an attribute": SMALL.replace("'noise'", "'noise'.upper()"),
    "a comprehension": SMALL.replace("[2]", "[i for i in range(2, 3)]"),
    "a lambda": SMALL.replace("[2]", "(lambda: [2])()", 1),
    "a walrus": SMALL.replace("[2]", "(n := [2])", 1),
    "a formatted text": SMALL.replace("'noise'", "f'{exit()}'"),
    "a multiplication": SMALL.replace("[2]", "[2] * 10 ** 10", 1),
    "a power": SMALL.replace("[2]", "9 ** 9 ** 9", 1),
    "another range": SMALL.replace("[2]", "__builtins__.range(2, 3)", 1),
    "a statement before": f"import os\n{SMALL}",
    "a decorated function": "@exit\ndef f(): pass",
    "unpacking": SMALL.replace("[2]", "[*range(2, 3)]", 1),
    "a huge range": SMALL.replace("[2]", "range(2, 999999)", 1),
    "a huger range": SMALL.replace("[2]", f"range(2, {'9' * 500})", 1),
    "a huge hexadecimal number": SMALL.replace("[2]", f"[0x{'f' * 9000}]", 1),
    "a huge decimal number": SMALL.replace("[2]", f"[{'9' * 9000}]", 1),
    "a huge negative number": SMALL.replace("[2]", f"[-0x{'f' * 9000}]", 1),
    "parentheses": "(" * LONGEST_TEXT,
    "closed parentheses": "(" * 5000 + ")" * 5000,
    "brackets": SMALL.replace("[2]", "[" * 4000 + "]" * 4000, 1),
    "a few hundred brackets": SMALL.replace("[2]", "[" * 150 + "]" * 150, 1),
    "minus signs": "-" * 9000 + "1",
    "negations": "not " * 2000 + "1",
    "additions": "1+" * 4000 + "1",
    "attributes": "a" + ".a" * 4000,
    "calls": "a" + "()" * 4000,
    "lambdas": "lambda:" * 1400 + "1",
    "comparisons": SMALL.replace("[2]", "1<" * 4000 + "1", 1),
    "nested JSON lists": '{"normal":' + "[" * 9000,
    "closed JSON lists": '{"normal":' + "[" * 4500 + "]" * 4500 + "}",
    "nested JSON objects": '{"a":' * 1900 + "1" + "}" * 1900,
    "a null character": SMALL + "\0",
    "half a surrogate pair": SMALL.replace("noise", "\ud800"),
    "half a surrogate pair as an escape": SMALL.replace("noise", "\\ud800"),
    "megabytes": SMALL + " " * 10**7,
    "megabytes of JSON": "{" * 10**7,
    "many keys": "{" + ",".join(f'"{number}":0' for number in range(900)) + "}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_and_nothing_in_it_runs(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    complaint(text)
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_doubtful_escapes_in_a_text_warn_nobody() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "unknown operation" in complaint(SMALL.replace("noise", "\\noise\\d"))
    assert not caught


pieces = st.sampled_from(
    [
        *("Genotype(", "normal", "_concat", "reduce", "=", "range(2, 6)", "[", "]", "(", ")", "{", "}", ",", ":"),
        *(
            "'",
            '"',
            "0",
            "1",
            "2",
            "-",
            "0x",
            "1_0",
            "\\",
            "\n",
            " ",
            "#",
            "*",
            ".",
            "e9",
            "lambda",
            "\ufeff",
            "\u0661",
        ),
        *OPERATIONS[:4],
    ]
)
"""What genotypes are made of, and characters that mean something to a parser."""


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(pieces, max_size=60).map("".join)))
def test_any_text_is_a_genotype_or_invalid(text: str) -> None:
    try:
        genotype = parse_genotype(text)
    except InvalidGenotype:
        complaint(text)
    else:
        assert parse_genotype(format_genotype(genotype)) == genotype


@settings(max_examples=300)
@given(notations(), st.integers(0, 400), st.integers(0, 20), pieces)
def test_a_changed_text_is_a_genotype_or_invalid(case: tuple[Fields, str], start: int, length: int, piece: str) -> None:
    text = case[1]
    start %= len(text)
    changed = text[:start] + piece + text[start + length :]
    try:
        genotype = parse_genotype(changed)
    except InvalidGenotype:
        complaint(changed)
    else:
        assert parse_genotype(format_genotype_json(genotype)) == genotype


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists), st.data())
def test_any_json_in_any_field_is_a_genotype_or_invalid(value: object, data: st.DataObject) -> None:
    content = json.loads(format_genotype_json(EXAMPLE_GENOTYPE))
    content[data.draw(st.sampled_from(sorted(content)))] = value
    text = json.dumps(content)
    try:
        parse_genotype(text)
    except InvalidGenotype:
        complaint(text)


# What cells look like


def cell_of(*nodes: tuple[Pair, Pair], concat: tuple[int, ...]) -> Genotype:
    """A genotype whose normal cell has these nodes; the reduction cell is the smallest there is."""
    pairs = tuple(pair for node in nodes for pair in node)
    return Genotype(pairs, concat, (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)), (2,))


def test_skip_connections_and_parameter_free_operations_are_counted_in_each_cell() -> None:
    # Normal: 6 convolutions, 2 skip connections; reduction: 5 poolings, 3 skip connections.
    assert (skip_connections(EXAMPLE_GENOTYPE, "normal"), skip_connections(EXAMPLE_GENOTYPE, "reduce")) == (2, 3)
    assert parameter_free_share(EXAMPLE_GENOTYPE, "normal") == 2 / 8
    assert parameter_free_share(EXAMPLE_GENOTYPE, "reduce") == 1
    free = cell_of((("none", 0), ("noise", 1)), (("avg_pool_3x3", 0), ("sep_conv_5x5", 2)), concat=(2, 3))
    assert parameter_free_share(free, "normal") == 3 / 4
    assert skip_connections(free, "normal") == 0


def test_the_second_cell_of_darts_has_the_depth_and_width_of_the_literature() -> None:
    # Shu et al. give 3 and 3.5c: nodes 2 to 4 are fed by the cell's inputs alone, node 5 half by node 2.
    assert cell_depth(EXAMPLE_GENOTYPE, "normal") == 3
    assert cell_width(EXAMPLE_GENOTYPE, "normal") == 3.5
    # 0→2→3→output; node 2 counts 1, the other three count 1/2.
    assert cell_depth(EXAMPLE_GENOTYPE, "reduce") == 3
    assert cell_width(EXAMPLE_GENOTYPE, "reduce") == 2.5


def test_the_widest_cell_is_the_shallowest_and_a_chain_the_deepest() -> None:
    flat = cell_of(*[(("sep_conv_3x3", 0), ("skip_connect", 1))] * 4, concat=(2, 3, 4, 5))
    assert (cell_depth(flat, "normal"), cell_width(flat, "normal")) == (2, 4)
    # 0→2→3→4→5→output. Node 2 has two inputs of the cell, node 3 has one; 4 and 5 have none.
    chain = cell_of(
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 1), ("sep_conv_3x3", 2)),
        (("sep_conv_3x3", 2), ("sep_conv_3x3", 3)),
        (("sep_conv_3x3", 3), ("sep_conv_3x3", 4)),
        concat=(2, 3, 4, 5),
    )
    assert (cell_depth(chain, "normal"), cell_width(chain, "normal")) == (5, 1.5)
    # The same edges, but the last two nodes do not reach the output.
    assert cell_depth(replace(chain, normal_concat=(3, 2)), "normal") == 3


def test_none_is_no_edge() -> None:
    # 1→2 and 2→3 are missing: node 2 hangs on input 0, node 3 on input 1.
    broken = cell_of((("skip_connect", 0), ("none", 1)), (("none", 2), ("skip_connect", 1)), concat=(2, 3))
    assert (cell_depth(broken, "normal"), cell_width(broken, "normal")) == (2, 1)
    # Node 3 hangs on node 2, which nothing enters.
    dead = cell_of((("none", 0), ("none", 1)), (("skip_connect", 2), ("none", 0)), concat=(3,))
    assert (cell_depth(dead, "normal"), cell_width(dead, "normal")) == (0, 0)


@given(genotypes(), st.sampled_from(CELLS))
def test_depth_and_width_keep_within_what_the_number_of_nodes_allows(fields: Fields, cell: Cell) -> None:
    genotype = Genotype(*fields)
    nodes = len(genotype.inner_nodes(cell))
    assert 0 <= cell_depth(genotype, cell) <= nodes + 1
    assert 0 <= cell_width(genotype, cell) <= nodes
    assert skip_connections(genotype, cell) <= 2 * nodes * parameter_free_share(genotype, cell)
    # Node 2 has nothing but the cell's inputs to take.
    if "none" not in [operation for operation, _ in genotype.pairs(cell)[0]]:
        assert cell_width(genotype, cell) >= 1


# The library


def parameters(genotype: Genotype, classes: int) -> int:
    """Trainable numbers of the CIFAR network of 20 cells and 36 channels without auxiliary head, counted by hand.

    A 1x1 convolution from a to b channels has ab, a batch norm of b channels 2b. A separable convolution is twice a
    depthwise and a 1x1 convolution with a batch norm, a dilated one is that once; skip connections have weights only
    where they halve the resolution.
    """
    cells, channels = 20, 36
    before, last = 3 * channels, 3 * channels
    total = 3 * 9 * last + 2 * last
    for number in range(cells):
        cell: Cell = "reduce" if number in (cells // 3, 2 * cells // 3) else "normal"
        channels *= 2 if cell == "reduce" else 1
        point = channels * channels + 2 * channels
        total += before * channels + 2 * channels + last * channels + 2 * channels
        for pairs in genotype.pairs(cell):
            for operation, source in pairs:
                kernel = int(operation[-1]) ** 2 * channels if "conv" in operation else 0
                total += {
                    "sep": 2 * (kernel + point),
                    "dil": kernel + point,
                    "ski": point if cell == "reduce" and source < 2 else 0,
                }.get(operation[:3], 0)
        before, last = last, channels * len(genotype.concat(cell))
    return total + last * classes + classes


def test_every_published_genotype_comes_back_from_every_notation() -> None:
    assert len(library()) == 149
    for published in library().values():
        genotype = published.genotype
        grouped = {cell: nested(genotype, cell) for cell in CELLS} | {
            f"{cell}_concat": list(genotype.concat(cell)) for cell in CELLS
        }
        texts = (
            format_genotype(genotype),
            format_genotype_json(genotype),
            json.dumps(grouped),
            f"Genotype({', '.join(f'{name}={value!r}' for name, value in grouped.items())})",
        )
        assert {parse_genotype(text) for text in texts} == {genotype}
        assert [format_genotype(parse_genotype(text)) for text in texts] == [texts[0]] * 4


def test_the_library_cannot_be_changed_and_is_read_once() -> None:
    assert library() is library()
    with pytest.raises(TypeError):
        library()["mine"] = library()["DARTS_V2"]  # type: ignore[index]


@pytest.mark.parametrize("name", library())
def test_a_published_genotype_lies_in_the_space_that_was_searched(name: str) -> None:
    published = library()[name]
    for cell in CELLS:
        for node, pairs in zip(published.genotype.inner_nodes(cell), published.genotype.pairs(cell), strict=True):
            for operation, source in pairs:
                assert operation in SPACES[published.space][cell][EDGES.index((source, node))]


def test_darts_v2_is_the_example_and_has_its_known_number_of_parameters() -> None:
    assert library()["DARTS_V2"].genotype == EXAMPLE_GENOTYPE
    assert library()["DARTS_V2"].source == (
        "DARTS with CIFAR-10, the cells that the code calls DARTS since; Liu et al., DARTS, ICLR 2019 "
        "(arXiv 1806.09055); github.com/quark0/darts, cnn/genotypes.py"
    )
    # Issue 4: the number that the papers print as 3.3 million.
    assert parameters(EXAMPLE_GENOTYPE, classes=10) == 3_349_342


def test_published_numbers_of_parameters_are_those_of_the_cells() -> None:
    noted = {name: published for name, published in library().items() if published.parameters is not None}
    assert len(noted) == 56
    for name, published in noted.items():
        counted = parameters(published.genotype, classes=100 if "CIFAR-100" in published.source else 10) / 1e6
        # Printed are one or two decimals, mostly rounded, sometimes cut.
        assert counted == pytest.approx(published.parameters, abs=0.012), name


def test_different_searches_may_have_found_the_same_cells() -> None:
    names = defaultdict(set)
    for name, published in library().items():
        names[published.genotype].add(name)
    shared = [group for group in names.values() if len(group) > 1]
    assert {"blank_pt_s4_2", "darts_pt_s4_c100_1"} in shared
    assert {"init_pt_s2_C10_0", "init_pt_s3_C10_0"} in shared
    assert sorted(len(group) for group in shared) == [2] * 12 + [4]


def test_the_library_holds_the_genotypes_of_darts_pt_and_zero_cost_pt() -> None:
    if not FACTS.exists():
        pytest.skip(f"the published genotypes are not at {FACTS}: they lie there only where opselect is developed")
    by_repository = json.loads(FACTS.read_text())["genotypes"]
    published = {name: fields for fields_by_name in by_repository.values() for name, fields in fields_by_name.items()}
    assert len(published) == 132
    for name, fields in published.items():
        assert parse_genotype(json.dumps(fields)) == library()[name].genotype, name
