"""When are two NAS-Bench-201 cells the same? Ours: the same function of the same parameters; NATS-Bench's: a string.

Many of the 15,625 cells differ on paper only: an edge leads nowhere, or two routes compute the same. A study that
counts them separately weights some functions more than others, and a selector that picks the twin of the best cell did
not fail. NATS-Bench's string is the usual test but both too coarse and too fine (see `nats_unique_string`), so cells
are compared by what they compute.

A cell is a sum of terms. `none` adds nothing, `skip_connect` adds its input's terms, a pooling is a function of its
input (two poolings of one input are one term, taken twice), a convolution is an *instance*: it has parameters of its
own, so two convolutions of one input are two terms, while one convolution reached along two routes is one term taken
twice. Instances have no names, so two cells are the same when renaming instances makes their sums equal. Branches that
do not reach the output never enter the sum. Counting gives 5,260 classes. Pooling counts as any function of its input;
its linearity would merge some classes and leave 5,044.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

_ROUTES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

Sum: TypeAlias = tuple[tuple[object, int], ...]
"""Sorted (term, count) pairs. A term is the input, a pooling of a sum, or an instance of a convolution of a sum."""


def _as_sum(terms: Counter[tuple[object, ...]]) -> Sum:
    return tuple(sorted(terms.items(), key=repr))


def _output(operations: Sequence[str], instance_names: Sequence[object]) -> Sum:
    """The sum of the last node, where the convolution on edge e is named `instance_names[e]`."""
    nodes: list[Counter[tuple[object, ...]]] = [Counter({("input",): 1}), Counter(), Counter(), Counter()]
    for number, (source, target) in enumerate(_ROUTES):
        operation, value = operations[number], nodes[source]
        if operation == "none" or not value:
            continue
        if operation == "skip_connect":
            nodes[target].update(value)
        elif operation == "avg_pool_3x3":
            nodes[target][(operation, _as_sum(value))] += 1
        else:
            nodes[target][(operation, _as_sum(value), instance_names[number])] += 1
    return _as_sum(nodes[-1])


def _convolutions(value: Sum) -> Iterator[tuple[object, ...]]:
    """Every convolution term inside a sum, repeated where several routes reach it."""
    for term, _ in value:
        assert isinstance(term, tuple)
        if len(term) > 1:
            yield from _convolutions(term[1])
        if len(term) == 3:
            yield term


def computation(operations: Sequence[str]) -> Sum:
    """A value that is equal for two cells exactly when they are the same: the same function of the same parameters.

    All renamings of exchangeable instances are tried, and the smallest sum is the value.

    Args:
        operations: Names of the operations on the six edges, target-major.

    Example:
        A convolution before a skip connection, and one after it:

        >>> first = ("nor_conv_3x3", "none", "none", "none", "skip_connect", "none")
        >>> second = ("skip_connect", "none", "none", "none", "nor_conv_3x3", "none")
        >>> computation(first) == computation(second)
        True
    """
    named = _output(operations, range(len(_ROUTES)))
    instances = sorted({term[2]: term for term in _convolutions(named)}.items())
    # A renaming can exchange only convolutions of one kind over the same input, names of instances aside.
    groups: dict[str, list[int]] = {}
    for edge, term in instances:
        groups.setdefault(repr(_anonymous(term)), []).append(int(edge))  # type: ignore[call-overload]
    names: list[object] = [None] * len(_ROUTES)
    candidates = []
    ordered = [groups[key] for key in sorted(groups)]
    for arrangement in itertools.product(*(itertools.permutations(group) for group in ordered)):
        for label, edge in enumerate(itertools.chain.from_iterable(arrangement)):
            names[edge] = label
        candidates.append(_output(operations, names))
    return min(candidates, key=repr)


def _anonymous(term: tuple[object, ...]) -> tuple[object, ...]:
    """The term without the names of its instances, by which instances are sorted into exchangeable groups."""
    if len(term) == 1:
        return term
    inner = term[1]
    assert isinstance(inner, tuple)
    stripped = Counter[tuple[object, ...]]()
    for inner_term, count in inner:
        stripped[_anonymous(inner_term)] += count
    return (term[0], _as_sum(stripped))


def nats_unique_string(operations: Sequence[str]) -> str:
    """NATS-Bench's string for isomorphic cells (6,466 distinct ones), for comparison with the literature.

    It neither flattens sums nor distinguishes a convolution used twice from two convolutions; `computation` does both.
    So 430 of its strings mix classes, and 688 classes have several strings.

    Args:
        operations: Names of the operations on the six edges, target-major.

    Source: Dong et al., NATS-Bench, TPAMI 2021, section 3.1.

    Example:
        >>> nats_unique_string(("nor_conv_3x3", "none", "skip_connect", "none", "none", "avg_pool_3x3"))
        '#+#+(#+(0)@nor_conv_3x3)@avg_pool_3x3'
    """
    nodes = ["0", "", "", ""]
    for target in range(1, 4):
        terms = []
        for operation, (source, edge_target) in zip(operations, _ROUTES, strict=True):
            if edge_target != target:
                continue
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes[target] = "+".join(sorted(terms))
    return nodes[-1]
