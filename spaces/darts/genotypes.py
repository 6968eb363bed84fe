"""Genotypes: the two cells that a search on a DARTS space ends with, as values, as the field's text and as JSON.

An inner node keeps two of the edges that enter it, each with one operation. The text is what the code of DARTS prints
and reads, `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)`:
two (operation, input) pairs a node, where inputs 0 and 1 are the two cells before and inner nodes count from 2. The
field reads such text by evaluating it; here nothing in it runs.

Source of the notation: github.com/quark0/darts, cnn/genotypes.py.
"""

import ast
import itertools
import json
import reprlib
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from opselect.spaces.darts.cells import CELL_INPUTS, CELLS, ORIGINAL_OPERATIONS, Cell
from opselect.spaces.errors import UserError, in_one_line, shortened
from opselect.spaces.registry import did_you_mean

OPERATIONS = (*ORIGINAL_OPERATIONS, "noise")
"""Everything that stands on an edge of some DARTS space; `noise` only in S4."""

PARAMETER_FREE = frozenset({"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "noise"})
"""Operations without weights where the resolution stays as it is."""

INPUTS_PER_NODE = 2
MOST_INNER_NODES = 8

# A genotype of the most nodes, with every pair on an indented line of its own, has less than a third of this. Python's
# parser needs memory and stack by the length of its text, so a longer one must not reach it.
LONGEST_TEXT = 10_000
# No number in a genotype has two digits. Much longer ones are slow to print, and at some length Python refuses to.
LARGEST_NUMBER = 999_999

Pair: TypeAlias = tuple[str, int]
"""An operation and the node that it is applied to."""

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_EXPECTED = f"Genotype({', '.join(f'{field}=...' for field in _FIELDS)}) or a JSON object with these keys"

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 60


class InvalidGenotype(UserError, ValueError):
    """A text or values that describe no genotype; the message says where, what was given and what was expected."""


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell. Every value that exists is a valid one, and equal values hash alike.

    Attributes:
        normal: of every inner node in turn two pairs (operation, input node), in the order that was given.
        normal_concat: the inner nodes whose outputs are concatenated to the normal cell's output, in that order.
        reduce: the same of the reduction cell.
        reduce_concat: the same of the reduction cell.

    Raises:
        InvalidGenotype: an unknown operation, an input that does not come before its node, two equal inputs of a node,
            not two pairs for each of 1 to 8 nodes, or a concatenation of something else than distinct inner nodes.
    """

    normal: tuple[Pair, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Pair, ...]
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what no network can be built from."""
        for cell in CELLS:
            _check_nodes(cell, self._pairs(cell))
            _check_concat(cell, self.concat(cell), self.inner_nodes(cell))

    def pairs(self, cell: Cell) -> tuple[tuple[Pair, Pair], ...]:
        """The two pairs of every inner node; the first entry belongs to node 2."""
        pairs = self._pairs(cell)
        return tuple(zip(pairs[::INPUTS_PER_NODE], pairs[1::INPUTS_PER_NODE], strict=True))

    def concat(self, cell: Cell) -> tuple[int, ...]:
        """The inner nodes that make the output of a cell."""
        return self.normal_concat if cell == "normal" else self.reduce_concat

    def inner_nodes(self, cell: Cell) -> range:
        """The numbers of the inner nodes of a cell, `range(2, 6)` where it has the usual four."""
        return range(CELL_INPUTS, CELL_INPUTS + len(self._pairs(cell)) // INPUTS_PER_NODE)

    def _pairs(self, cell: Cell) -> tuple[Pair, ...]:
        return self.normal if cell == "normal" else self.reduce


def _check_nodes(cell: Cell, pairs: tuple[Pair, ...]) -> None:
    most = INPUTS_PER_NODE * MOST_INNER_NODES
    if len(pairs) % INPUTS_PER_NODE or not INPUTS_PER_NODE <= len(pairs) <= most:
        raise InvalidGenotype(
            f"genotype, {cell} cell: {len(pairs)} (operation, input) pair(s), expected two for each inner node, "
            f"an even number from {INPUTS_PER_NODE} to {most}"
        )
    for position, (operation, input_node) in enumerate(pairs):
        node = _node_of(position)
        if operation not in OPERATIONS:
            raise InvalidGenotype(
                f"{_place(cell, position)}: unknown operation {_shown(operation)}"
                + did_you_mean(operation[:60], OPERATIONS)
            )
        # True equals 1 but is written differently; a number of NumPy is written differently by some versions.
        if type(input_node) is not int or not 0 <= input_node < node:
            raise InvalidGenotype(
                f"{_place(cell, position)}: input {_shown(input_node)}, expected a node before node {node}, "
                f"0 to {node - 1}"
            )
        if position % INPUTS_PER_NODE and input_node == pairs[position - 1][1]:
            raise InvalidGenotype(
                f"genotype, {cell} cell, node {node}: both pairs have input {input_node}, expected two different inputs"
            )


def _check_concat(cell: Cell, concat: tuple[int, ...], inner_nodes: range) -> None:
    expected = f"expected distinct inner nodes, some of {inner_nodes[0]} to {inner_nodes[-1]}"
    if not concat:
        raise InvalidGenotype(f"genotype, {cell}_concat: no node, {expected}")
    for position, node in enumerate(concat):
        if type(node) is not int or node not in inner_nodes:
            raise InvalidGenotype(f"genotype, {cell}_concat: {_shown(node)} is no inner node, {expected}")
        if node in concat[:position]:
            raise InvalidGenotype(f"genotype, {cell}_concat: node {node} twice, {expected}")


def _node_of(position: int) -> int:
    return CELL_INPUTS + position // INPUTS_PER_NODE


def _place(cell: Cell, position: int) -> str:
    return f"genotype, {cell} cell, node {_node_of(position)}, pair {position % INPUTS_PER_NODE + 1}"


def _shown(value: object) -> str:
    """A value as a message shows it, in few characters whatever it is."""
    # Python refuses to print numbers of thousands of digits.
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return "a number of more than six digits"
    text = _brief.repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def format_genotype(genotype: Genotype) -> str:
    """The text that the code of DARTS prints for this genotype, on one line; `parse_genotype` undoes it.

    Consecutive nodes are concatenated as a `range`, as that code does; others stand in a list.
    """
    values = (
        list(genotype.normal),
        _range_or_list(genotype.normal_concat),
        list(genotype.reduce),
        _range_or_list(genotype.reduce_concat),
    )
    return f"Genotype({', '.join(f'{field}={value!r}' for field, value in zip(_FIELDS, values, strict=True))})"


def _range_or_list(nodes: tuple[int, ...]) -> range | list[int]:
    consecutive = range(nodes[0], nodes[0] + len(nodes))
    return consecutive if nodes == tuple(consecutive) else list(nodes)


def format_genotype_json(genotype: Genotype) -> str:
    """The genotype as a JSON object with four lists, on one line; `parse_genotype` undoes it."""
    return json.dumps(asdict(genotype))


def parse_genotype(text: str) -> Genotype:
    """Read a genotype in any notation of the field. Nothing in the text is evaluated.

    Read are `Genotype(...)` with its four keywords in any order, alone or as `NAME = Genotype(...)`, and a JSON object
    with the same four keys. The pairs of a cell may stand in a row or be grouped by node, `[[pair, pair], ...]`; lists
    and tuples are the same, and what is concatenated may be a `range`.

    Raises:
        InvalidGenotype: with the cell, the node and the pair, what stands there and what was expected.
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidGenotype(f"genotype text of {len(text):,} characters, expected {LONGEST_TEXT:,} at most")
    fields = _fields_of_json(text) if text.lstrip().startswith("{") else _fields_of_call(text)
    return Genotype(
        normal=_pairs_of("normal", fields["normal"]),
        normal_concat=_concat_of("normal", fields["normal_concat"]),
        reduce=_pairs_of("reduce", fields["reduce"]),
        reduce_concat=_concat_of("reduce", fields["reduce_concat"]),
    )


def _fields_of_call(text: str) -> dict[str, object]:
    """The four keywords of `Genotype(...)`, their values made of tuples, texts and numbers."""
    try:
        # The parser warns of doubtful escapes and numbers in a text that is not ours and in which they mean nothing.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statements = ast.parse(text.strip()).body
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"
        raise InvalidGenotype(f"genotype text{line}: {shortened(error.msg)}, expected {_EXPECTED}") from error
    except (MemoryError, RecursionError) as error:
        raise InvalidGenotype(f"genotype text: nested too deeply, expected {_EXPECTED}") from error
    except ValueError as error:
        # A null character, or half of a surrogate pair.
        raise InvalidGenotype(f"genotype text: {in_one_line(error)}, expected {_EXPECTED}") from error
    match statements:
        case [
            ast.Expr(ast.Call(ast.Name("Genotype"), arguments, keywords))
            | ast.Assign([ast.Name()], ast.Call(ast.Name("Genotype"), arguments, keywords))
        ]:
            if arguments:
                raise InvalidGenotype(f"genotype text: value without a keyword, expected {_EXPECTED}")
        case _:
            raise InvalidGenotype(f"genotype text {_shown(text)}: expected {_EXPECTED}")
    names = [keyword.arg or "**" for keyword in keywords]
    _check_names(names)
    return {name: _literal(keyword.value, name, text) for name, keyword in zip(names, keywords, strict=True)}


def _literal(node: ast.expr, keyword: str, text: str) -> object:
    """What a piece of syntax writes down: a text, a number, or a tuple of such.

    Args:
        node: the syntax.
        keyword: below which it stands, for messages.
        text: in which it stands.

    Raises:
        InvalidGenotype: it is something else, which would have to be evaluated.
    """
    place = f"genotype text, {_shown(keyword)}, line {node.lineno}"
    match node:
        case ast.Constant(str() as value):
            return value
        case ast.Constant(int() as value) if type(value) is int:
            return _bounded(value, place)
        case ast.UnaryOp(ast.USub(), ast.Constant(int() as value)) if type(value) is int:
            return -_bounded(value, place)
        case ast.List(elements) | ast.Tuple(elements):
            return tuple(_literal(element, keyword, text) for element in elements)
        case ast.Call(ast.Name("range"), arguments, []):
            return _range(tuple(_literal(argument, keyword, text) for argument in arguments), place)
        case _:
            written = ast.get_source_segment(text.strip(), node) or type(node).__name__
            raise InvalidGenotype(
                f"{place}: {_shown(written)} would have to be evaluated, expected operations in quotes, numbers, "
                "lists, tuples and range(...) only"
            )


def _range(arguments: tuple[object, ...], place: str) -> tuple[int, ...]:
    """The first numbers of a range: one more than there can be inner nodes, so that what is cut cannot pass for one."""
    bounds = [argument for argument in arguments if isinstance(argument, int)]
    if len(bounds) != len(arguments) or not 1 <= len(bounds) <= 3 or bounds[2:] == [0]:
        given = ", ".join(_shown(argument) for argument in arguments)
        raise InvalidGenotype(f"{place}: range({shortened(given)}), expected range(first, last + 1)")
    return tuple(itertools.islice(range(*bounds), MOST_INNER_NODES + 1))


def _fields_of_json(text: str) -> dict[str, object]:
    """The four keys of a JSON object, their values with tuples in the place of lists."""
    try:
        fields = json.loads(text, object_pairs_hook=_distinct, parse_int=_digits)
        _check_names(list(fields))
        return {name: _tuples(value) for name, value in fields.items()}
    except json.JSONDecodeError as error:
        raise InvalidGenotype(f"genotype in JSON: {in_one_line(error)}") from error
    except (MemoryError, RecursionError) as error:
        raise InvalidGenotype(f"genotype in JSON: nested too deeply, expected {_EXPECTED}") from error


def _distinct(keys: list[tuple[str, object]]) -> dict[str, object]:
    """The object with these keys. The library would keep the last value of a repeated one without a word."""
    names = [name for name, _ in keys]
    for name in names:
        if names.count(name) > 1:
            raise InvalidGenotype(f"genotype in JSON: key {_shown(name)} twice, expected {_EXPECTED}")
    return dict(keys)


def _digits(digits: str) -> int:
    # Before they become a number: Python refuses thousands of digits with an error of its own.
    return _bounded(int(digits[: len(str(LARGEST_NUMBER)) + 2]), "genotype in JSON")


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _bounded(number: int, place: str) -> int:
    if abs(number) > LARGEST_NUMBER:
        raise InvalidGenotype(f"{place}: {_shown(number)}, expected numbers of nodes")
    return number


def _check_names(names: list[str]) -> None:
    for position, name in enumerate(names):
        if name not in _FIELDS:
            raise InvalidGenotype(f"genotype text: unknown keyword {_shown(name)}{did_you_mean(name[:60], _FIELDS)}")
        if name in names[:position]:
            raise InvalidGenotype(f"genotype text: keyword {name!r} twice, expected {_EXPECTED}")
    missing = [name for name in _FIELDS if name not in names]
    if missing:
        raise InvalidGenotype(f"genotype text: without {' and '.join(missing)}, expected {_EXPECTED}")


def _pairs_of(cell: Cell, value: object) -> tuple[Pair, ...]:
    """The pairs of a cell in a row, from a row of them or from a row of nodes with two each."""
    if not isinstance(value, tuple):
        raise InvalidGenotype(
            f"genotype, {cell} cell: {_shown(value)}, expected a list of (operation, input) pairs, two for each node"
        )
    if any(_is_grouped(item) for item in value):
        for node, pairs in enumerate(value, start=CELL_INPUTS):
            if not _is_grouped(pairs) or len(pairs) != INPUTS_PER_NODE:
                raise InvalidGenotype(
                    f"genotype, {cell} cell, node {node}: {_shown(pairs)}, expected two (operation, input) pairs"
                )
        value = tuple(itertools.chain.from_iterable(value))
    return tuple(_pair_of(cell, position, item) for position, item in enumerate(value))


def _is_grouped(item: object) -> bool:
    """Whether this is a node with its pairs rather than a pair."""
    return isinstance(item, tuple) and all(isinstance(pair, tuple) for pair in item)


def _pair_of(cell: Cell, position: int, item: object) -> Pair:
    match item:
        case (str() as operation, int() as input_node) if type(input_node) is int:
            return operation, input_node
    raise InvalidGenotype(f"{_place(cell, position)}: {_shown(item)} is no pair (operation, number of the input node)")


def _concat_of(cell: Cell, value: object) -> tuple[int, ...]:
    if isinstance(value, tuple):
        nodes = tuple(node for node in value if type(node) is int)
        if len(nodes) == len(value):
            return nodes
    raise InvalidGenotype(f"genotype, {cell}_concat: {_shown(value)}, expected a list or a range of inner nodes")


def skip_connections(genotype: Genotype, cell: Cell) -> int:
    """How many of the operations of a cell are `skip_connect`; DARTS collapses where they take over.

    Source: Zela et al., Understanding and Robustifying Differentiable Architecture Search, ICLR 2020.
    """
    return sum(operation == "skip_connect" for node in genotype.pairs(cell) for operation, _ in node)


def parameter_free_share(genotype: Genotype, cell: Cell) -> float:
    """The share of the operations of a cell that have no weights, 0 to 1: none, pooling, skip connections and noise.

    Both cells are measured alike: in a reduction cell, the skip connections that leave the cell's inputs are factorised
    reductions, which do have weights, and count as parameter-free all the same.
    """
    operations = [operation for node in genotype.pairs(cell) for operation, _ in node]
    return sum(operation in PARAMETER_FREE for operation in operations) / len(operations)


def cell_depth(genotype: Genotype, cell: Cell) -> int:
    """The number of edges on the longest path from an input of a cell to its output.

    The edge from a concatenated node to the output counts, and an edge with `none` is no edge. A cell whose output
    nothing reaches has depth 0.

    Source: Shu et al., Understanding Architectures Learnt by Cell-based NAS, ICLR 2020 (arXiv 1909.09569).
    """
    longest: list[int | None] = [0] * CELL_INPUTS
    for pairs in genotype.pairs(cell):
        lengths = [longest[source] for operation, source in pairs if operation != "none"]
        longest.append(max((length + 1 for length in lengths if length is not None), default=None))
    ends = [longest[node] for node in genotype.concat(cell)]
    return max((length + 1 for length in ends if length is not None), default=0)


def cell_width(genotype: Genotype, cell: Cell) -> float:
    """The summed width of the inner nodes that are connected to the inputs of a cell, in units of a node's channels c.

    A node that takes both of its inputs from the cell's inputs counts 1, one that takes one of them from another inner
    node counts 1/2, and one that is fed by inner nodes only counts 0. An edge with `none` is no edge.

    Source: Shu et al., Understanding Architectures Learnt by Cell-based NAS, ICLR 2020 (arXiv 1909.09569).
    """
    from_inputs = sum(
        source < CELL_INPUTS and operation != "none" for pairs in genotype.pairs(cell) for operation, source in pairs
    )
    return from_inputs / INPUTS_PER_NODE


class PublishedGenotype(NamedTuple):
    """A genotype of the library.

    Attributes:
        genotype: the two cells.
        source: the search that found them, and the paper and the code that published them.
        space: the space that was searched, a key of `opselect.spaces.darts.cells.SPACES`.
        parameters: in millions, as the code that published it notes them, rounded or cut after one or two decimals:
            of the CIFAR network with 36 channels and 20 cells without its auxiliary head, with 100 classes if the
            search was on CIFAR-100. None if it notes none.
    """

    genotype: Genotype
    source: str
    space: str
    parameters: float | None


@cache
def library() -> Mapping[str, PublishedGenotype]:
    """The published genotypes by name, in the order of the file genotypes.toml.

    Names are those of the code that published them, where that leaves no doubt. Different searches may have found the
    same cells; each of them keeps its name, so a genotype may have several.

    Raises:
        InvalidGenotype: an entry of the file is no genotype, or two sources use the same name.
    """
    content = tomllib.loads(Path(__file__).with_name("genotypes.toml").read_text(encoding="utf-8"))
    found: dict[str, PublishedGenotype] = {}
    for source in content["source"]:
        for name, entry in source["genotypes"].items():
            if name in found:
                raise InvalidGenotype(f"genotypes.toml: {name!r} stands below two sources, expected distinct names")
            try:
                genotype = parse_genotype(entry["text"])
            except InvalidGenotype as error:
                raise InvalidGenotype(f"genotypes.toml, {name!r}: {error}") from error
            found_by = f"{entry['found']}; {source['citation']}"
            found[name] = PublishedGenotype(genotype, found_by, entry["space"], entry.get("parameters"))
    return MappingProxyType(found)
