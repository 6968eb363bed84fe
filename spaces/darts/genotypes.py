"""Genotypes: the two cells that a search on a DARTS space ends with, as values, as the field's text and as JSON.

Every inner node has two input edges, each with one operation. The text is what the code of DARTS prints and reads,
`Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)`: two
(operation, input) pairs per node, where inputs 0 and 1 are the two preceding cells and inner nodes count from 2.

The field reads such text by evaluating it, which runs any code that a file contains. Here Python's parser reads it, and
only texts, numbers, lists, tuples and `range(...)` are accepted. The parser's time and memory grow with the text, and
numbers can be of any size, so both have limits.

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
"""All operations of the DARTS spaces; `noise` occurs in S4 only."""

PARAMETER_FREE = frozenset({"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "noise"})
"""Operations without weights where the resolution does not change."""

INPUTS_PER_NODE = 2
MOST_INNER_NODES = 8

# The largest genotype, with every pair on an indented line of its own, has less than a third of these characters.
# Python's parser needs memory and stack in proportion to its text, so a longer one must not reach it.
LONGEST_TEXT = 10_000
# No number in a genotype has two digits. Long ones are slow to print, and very long ones Python refuses to print.
LARGEST_NUMBER = 999_999

Pair: TypeAlias = tuple[str, int]
"""An operation and the number of the node that it is applied to."""

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_EXPECTED = f"Genotype({', '.join(f'{field}=...' for field in _FIELDS)}) or a JSON object with these keys"

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 60


class InvalidGenotype(UserError, ValueError):
    """A text or values describe no genotype; the message says where, what was given and what was expected."""


@dataclass(frozen=True)
class Genotype:
    """A normal cell and a reduction cell; an invalid one cannot be constructed.

    Attributes:
        normal: Two pairs (operation, input node) per inner node of the normal cell, node after node.
        normal_concat: Inner nodes whose outputs are concatenated to the normal cell's output, in that order.
        reduce: Two pairs per inner node of the reduction cell, node after node.
        reduce_concat: Inner nodes whose outputs are concatenated to the reduction cell's output, in that order.

    Raises:
        InvalidGenotype: An operation is unknown, an input does not come before its node, a node has two equal inputs,
            there are not two pairs for each of 1 to 8 nodes, or a concatenation has other than distinct inner nodes.

    Example:
        A cell of a single inner node:

        >>> pairs = (("sep_conv_3x3", 0), ("skip_connect", 1))
        >>> genotype = Genotype(normal=pairs, normal_concat=(2,), reduce=pairs, reduce_concat=(2,))
        >>> genotype.pairs("normal")
        ((('sep_conv_3x3', 0), ('skip_connect', 1)),)
        >>> parse_genotype(format_genotype(genotype)) == genotype
        True
    """

    normal: tuple[Pair, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Pair, ...]
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse values from which no network can be built."""
        for cell in CELLS:
            _check_nodes(cell, self._pairs(cell))
            _check_concat(cell, self.concat(cell), self.inner_nodes(cell))

    def pairs(self, cell: Cell) -> tuple[tuple[Pair, Pair], ...]:
        """The two pairs of every inner node, beginning with node 2."""
        pairs = self._pairs(cell)
        return tuple(zip(pairs[::INPUTS_PER_NODE], pairs[1::INPUTS_PER_NODE], strict=True))

    def concat(self, cell: Cell) -> tuple[int, ...]:
        """The inner nodes whose outputs are concatenated to the output of a cell."""
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
                f"{_place(cell, position)}: unknown operation {_quote(operation)}"
                + did_you_mean(operation[:60], OPERATIONS)
            )
        # True equals 1 but is printed differently, and some versions of NumPy print numbers differently.
        if type(input_node) is not int or not 0 <= input_node < node:
            raise InvalidGenotype(
                f"{_place(cell, position)}: input {_quote(input_node)}, expected a node before node {node}, "
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
            raise InvalidGenotype(f"genotype, {cell}_concat: {_quote(node)} is no inner node, {expected}")
        if node in concat[:position]:
            raise InvalidGenotype(f"genotype, {cell}_concat: node {node} twice, {expected}")


def _node_of(position: int) -> int:
    return CELL_INPUTS + position // INPUTS_PER_NODE


def _place(cell: Cell, position: int) -> str:
    return f"genotype, {cell} cell, node {_node_of(position)}, pair {position % INPUTS_PER_NODE + 1}"


def _quote(value: object) -> str:
    """A short text of any value, for messages."""
    # Python refuses to print numbers of thousands of digits.
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return "a number of more than six digits"
    text = _brief.repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def format_genotype(genotype: Genotype) -> str:
    """The text that the code of DARTS prints for this genotype, on one line; `parse_genotype` reads it.

    Consecutive nodes of a concatenation are written as a `range`, as in that code, others as a list.

    Example:
        >>> pairs = (("sep_conv_3x3", 0), ("skip_connect", 1))
        >>> format_genotype(Genotype(pairs, (2,), pairs, (2,)))[:71]
        "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_conc"
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
    """The genotype as a JSON object with four lists, on one line; `parse_genotype` reads it."""
    return json.dumps(asdict(genotype))


def parse_genotype(text: str) -> Genotype:
    """Read a genotype in any notation of the field, without evaluating the text.

    Args:
        text: `Genotype(...)` with its four keywords in any order, alone or as `NAME = Genotype(...)`, or a JSON object
            with the same four keys. The pairs of a cell are one list, or grouped by node, `[[pair, pair], ...]`; lists
            and tuples are the same, and a concatenation may be a `range`.

    Raises:
        InvalidGenotype: The text is no valid genotype; the message names the cell, the node and the pair, what is there
            and what was expected.

    Example:
        >>> text = "Genotype(normal=[('skip_connect', 0), ('none', 1)], normal_concat=range(2, 3), "
        >>> genotype = parse_genotype(text + "reduce=[('skip_connect', 0), ('none', 1)], reduce_concat=[2])")
        >>> genotype.normal, genotype.normal_concat
        ((('skip_connect', 0), ('none', 1)), (2,))
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
    """The values of the four keywords of `Genotype(...)`, made of tuples, texts and numbers."""
    try:
        # The parser warns of doubtful escapes and numbers, which would be noise about a user's text.
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
            raise InvalidGenotype(f"genotype text {_quote(text)}: expected {_EXPECTED}")
    names = [keyword.arg or "**" for keyword in keywords]
    _check_names(names)
    return {name: _literal(keyword.value, name, text) for name, keyword in zip(names, keywords, strict=True)}


def _literal(node: ast.expr, keyword: str, text: str) -> object:
    """The value of a literal: a text, a number, or a tuple of literals.

    Args:
        node: Syntax tree of the literal.
        keyword: Keyword of `Genotype(...)` that it belongs to, for messages.
        text: Whole text of the genotype, for messages.

    Raises:
        InvalidGenotype: The syntax is no literal and would have to be evaluated.
    """
    place = f"genotype text, {_quote(keyword)}, line {node.lineno}"
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
            segment = ast.get_source_segment(text.strip(), node) or type(node).__name__
            raise InvalidGenotype(
                f"{place}: {_quote(segment)} would have to be evaluated, expected operations in quotes, numbers, "
                "lists, tuples and range(...) only"
            )


def _range(arguments: tuple[object, ...], place: str) -> tuple[int, ...]:
    """The first numbers of a range, one more than a cell can have inner nodes: a range that is cut is refused later."""
    bounds = [argument for argument in arguments if isinstance(argument, int)]
    if len(bounds) != len(arguments) or not 1 <= len(bounds) <= 3 or bounds[2:] == [0]:
        given = ", ".join(_quote(argument) for argument in arguments)
        raise InvalidGenotype(f"{place}: range({shortened(given)}), expected range(first, last + 1)")
    return tuple(itertools.islice(range(*bounds), MOST_INNER_NODES + 1))


def _fields_of_json(text: str) -> dict[str, object]:
    """The values of the four keys of a JSON object, with tuples in place of lists."""
    try:
        fields = json.loads(text, object_pairs_hook=_distinct, parse_int=_digits)
        _check_names(list(fields))
        return {name: _tuples(value) for name, value in fields.items()}
    except json.JSONDecodeError as error:
        raise InvalidGenotype(f"genotype in JSON: {in_one_line(error)}") from error
    except (MemoryError, RecursionError) as error:
        raise InvalidGenotype(f"genotype in JSON: nested too deeply, expected {_EXPECTED}") from error


def _distinct(keys: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object as a dictionary. The library would silently ignore all but the last value of a repeated key."""
    names = [name for name, _ in keys]
    for name in names:
        if names.count(name) > 1:
            raise InvalidGenotype(f"genotype in JSON: key {_quote(name)} twice, expected {_EXPECTED}")
    return dict(keys)


def _digits(digits: str) -> int:
    # Cut before the conversion, since Python refuses thousands of digits with an error of its own.
    return _bounded(int(digits[: len(str(LARGEST_NUMBER)) + 2]), "genotype in JSON")


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _bounded(number: int, place: str) -> int:
    if abs(number) > LARGEST_NUMBER:
        raise InvalidGenotype(f"{place}: {_quote(number)}, expected numbers of nodes")
    return number


def _check_names(names: list[str]) -> None:
    for position, name in enumerate(names):
        if name not in _FIELDS:
            raise InvalidGenotype(f"genotype text: unknown keyword {_quote(name)}{did_you_mean(name[:60], _FIELDS)}")
        if name in names[:position]:
            raise InvalidGenotype(f"genotype text: keyword {name!r} twice, expected {_EXPECTED}")
    missing = [name for name in _FIELDS if name not in names]
    if missing:
        raise InvalidGenotype(f"genotype text: without {' and '.join(missing)}, expected {_EXPECTED}")


def _pairs_of(cell: Cell, value: object) -> tuple[Pair, ...]:
    """The pairs of a cell, node after node, from a list of pairs or a list of nodes with two pairs each."""
    if not isinstance(value, tuple):
        raise InvalidGenotype(
            f"genotype, {cell} cell: {_quote(value)}, expected a list of (operation, input) pairs, two for each node"
        )
    if any(_is_grouped(item) for item in value):
        for node, pairs in enumerate(value, start=CELL_INPUTS):
            if not _is_grouped(pairs) or len(pairs) != INPUTS_PER_NODE:
                raise InvalidGenotype(
                    f"genotype, {cell} cell, node {node}: {_quote(pairs)}, expected two (operation, input) pairs"
                )
        value = tuple(itertools.chain.from_iterable(value))
    return tuple(_pair_of(cell, position, item) for position, item in enumerate(value))


def _is_grouped(item: object) -> bool:
    """Whether an item is a node with its pairs rather than a pair."""
    return isinstance(item, tuple) and all(isinstance(pair, tuple) for pair in item)


def _pair_of(cell: Cell, position: int, item: object) -> Pair:
    match item:
        case (str() as operation, int() as input_node) if type(input_node) is int:
            return operation, input_node
    raise InvalidGenotype(f"{_place(cell, position)}: {_quote(item)} is no pair (operation, number of the input node)")


def _concat_of(cell: Cell, value: object) -> tuple[int, ...]:
    if isinstance(value, tuple):
        nodes = tuple(node for node in value if type(node) is int)
        if len(nodes) == len(value):
            return nodes
    raise InvalidGenotype(f"genotype, {cell}_concat: {_quote(value)}, expected a list or a range of inner nodes")


def skip_connections(genotype: Genotype, cell: Cell) -> int:
    """Number of operations of a cell that are `skip_connect`; a collapsed DARTS search has many.

    Source: Zela et al., Understanding and Robustifying Differentiable Architecture Search, ICLR 2020.

    Example:
        >>> skip_connections(library()["DARTS_V2"].genotype, "normal")
        2
    """
    return sum(operation == "skip_connect" for node in genotype.pairs(cell) for operation, _ in node)


def parameter_free_share(genotype: Genotype, cell: Cell) -> float:
    """Share of the operations of a cell that have no weights, 0 to 1: none, pooling, skip connections and noise.

    Both cells are measured alike: in a reduction cell, the skip connections from the cell's inputs are factorised
    reductions, which do have weights, but they count as parameter-free too.

    Example:
        >>> parameter_free_share(library()["DARTS_V2"].genotype, "normal")
        0.25
    """
    operations = [operation for node in genotype.pairs(cell) for operation, _ in node]
    return sum(operation in PARAMETER_FREE for operation in operations) / len(operations)


def cell_depth(genotype: Genotype, cell: Cell) -> int:
    """Number of edges on the longest path from an input of a cell to its output.

    The edge from a concatenated node to the output counts, and an edge with `none` is no edge. The depth is 0 if no
    path reaches the output.

    Source: Shu et al., Understanding Architectures Learnt by Cell-based NAS, ICLR 2020 (arXiv 1909.09569).

    Example:
        >>> cell_depth(library()["DARTS_V2"].genotype, "normal")
        3
    """
    longest: list[int | None] = [0] * CELL_INPUTS
    for pairs in genotype.pairs(cell):
        lengths = [longest[source] for operation, source in pairs if operation != "none"]
        longest.append(max((length + 1 for length in lengths if length is not None), default=None))
    ends = [longest[node] for node in genotype.concat(cell)]
    return max((length + 1 for length in ends if length is not None), default=0)


def cell_width(genotype: Genotype, cell: Cell) -> float:
    """Summed width of the inner nodes that are connected to the inputs of a cell, in units of a node's channels c.

    A node counts 1 if both of its inputs are inputs of the cell, 1/2 if one of them is an inner node, and 0 if both
    are. An edge with `none` is no edge.

    Source: Shu et al., Understanding Architectures Learnt by Cell-based NAS, ICLR 2020 (arXiv 1909.09569).

    Example:
        >>> cell_width(library()["DARTS_V2"].genotype, "normal")
        3.5
    """
    from_inputs = sum(
        source < CELL_INPUTS and operation != "none" for pairs in genotype.pairs(cell) for operation, source in pairs
    )
    return from_inputs / INPUTS_PER_NODE


class PublishedGenotype(NamedTuple):
    """A genotype of the library.

    Attributes:
        genotype: The two cells.
        source: Search that found the cells, and the paper and the code that published them.
        space: Space that was searched, a key of `opselect.spaces.darts.cells.SPACES`.
        parameters: Number of parameters in millions that the publishing code states, rounded or cut after one or two
            decimals; None if it states none. It is that of the CIFAR network with 36 channels and 20 cells without
            its auxiliary head, with 100 classes if the search was on CIFAR-100.
    """

    genotype: Genotype
    source: str
    space: str
    parameters: float | None


@cache
def library() -> Mapping[str, PublishedGenotype]:
    """The published genotypes by name, in the order of the file genotypes.toml.

    Names are those of the code that published them, where they are unambiguous. Different searches may have found the
    same cells, so a genotype may have several names.

    Raises:
        InvalidGenotype: An entry of the file is no genotype, or two sources use the same name.

    Example:
        >>> library()["DARTS_V2"].genotype.reduce[:2]
        (('max_pool_3x3', 0), ('max_pool_3x3', 1))
    """
    content = tomllib.loads(Path(__file__).with_name("genotypes.toml").read_text(encoding="utf-8"))
    published: dict[str, PublishedGenotype] = {}
    for source in content["source"]:
        for name, entry in source["genotypes"].items():
            if name in published:
                raise InvalidGenotype(f"genotypes.toml: {name!r} stands below two sources, expected distinct names")
            try:
                genotype = parse_genotype(entry["text"])
            except InvalidGenotype as error:
                raise InvalidGenotype(f"genotypes.toml, {name!r}: {error}") from error
            found_by = f"{entry['found']}; {source['citation']}"
            published[name] = PublishedGenotype(genotype, found_by, entry["space"], entry.get("parameters"))
    return MappingProxyType(published)
