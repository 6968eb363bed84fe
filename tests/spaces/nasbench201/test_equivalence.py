"""Which cells are the same: counts, and a proof by numbers that `computation` means what it says.

The proof evaluates cells in a slow, independent way: a value is a vector of three numbers, a pooling is one fixed
function of it, a convolution is a function with parameters of its own for every instance. All 720 ways to hand six sets
of parameters to the six edges are evaluated at once, so that "equal up to renaming instances" is a comparison of sets.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from opselect.spaces.nasbench201.equivalence import computation, nats_unique_string
from opselect.spaces.nasbench201.space import OPERATIONS, nasbench201
from opselect.spaces.space import Architecture

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
RENAMINGS = np.array(list(itertools.permutations(range(len(EDGES)))))
WIDTH = 3
_random = np.random.default_rng(201)
INPUT = _random.normal(size=WIDTH)
POOLING = _random.normal(size=(WIDTH, WIDTH)) / 2
PARAMETERS = {name: _random.normal(size=(len(EDGES), WIDTH, WIDTH)) for name in ("nor_conv_1x1", "nor_conv_3x3")}

Pooling = Callable[[np.ndarray], np.ndarray]


def opaque(value: np.ndarray) -> np.ndarray:
    """A pooling of which nothing is known but that it is a function."""
    return np.sin(value @ POOLING)


def linear(value: np.ndarray) -> np.ndarray:
    """A pooling that keeps sums, as averages do."""
    return value @ POOLING


def carried(operation: str, edge: int, value: np.ndarray, pooling: Pooling) -> np.ndarray:
    """What an edge adds to its target, `[720, 3]`, one row a renaming."""
    match operation:
        case "none":
            return np.zeros_like(value)
        case "skip_connect":
            return value
        case "avg_pool_3x3":
            return pooling(value)
    return np.tanh(np.einsum("rij,rj->ri", PARAMETERS[operation][RENAMINGS[:, edge]], value))


def outputs(operations: Sequence[str], pooling: Pooling = opaque) -> np.ndarray:
    """The cell's output under every renaming, `[720, 3]`; the first row names every instance after its edge."""
    nodes = [np.tile(INPUT, (len(RENAMINGS), 1))] + [np.zeros((len(RENAMINGS), WIDTH)) for _ in range(3)]
    for edge, (source, target) in enumerate(EDGES):
        nodes[target] = nodes[target] + carried(operations[edge], edge, nodes[source], pooling)
    return nodes[-1]


def same_function(first: Sequence[str], second: Sequence[str], pooling: Pooling = opaque) -> bool:
    """Whether some renaming of the second cell's instances makes it compute what the first one computes."""
    return bool(np.isclose(outputs(second, pooling), outputs(first, pooling)[0], atol=1e-9).all(axis=1).any())


def fingerprints(pooling: Pooling) -> np.ndarray:
    """Six numbers for every architecture, `[15625, 6]`: means over all renamings, so that none of them changes any."""
    start = np.tile(INPUT, (len(RENAMINGS), 1))
    first = {a: carried(a, 0, start, pooling) for a in OPERATIONS}
    into_last = {a: carried(a, 3, start, pooling) for a in OPERATIONS}
    through_first = {(a, b): carried(b, 4, first[a], pooling) for a in OPERATIONS for b in OPERATIONS}
    found = []
    for a, b, c in itertools.product(OPERATIONS, repeat=3):
        second = carried(b, 1, start, pooling) + carried(c, 2, first[a], pooling)
        through_second = {f: carried(f, 5, second, pooling) for f in OPERATIONS}
        for d, e, f in itertools.product(OPERATIONS, repeat=3):
            output = into_last[d] + through_first[a, e] + through_second[f]
            found.append(np.concatenate([output.mean(axis=0), np.square(output).mean(axis=0)]))
    return np.array(found)


def cell(text: str) -> tuple[str, ...]:
    """Six operations by initials, target-major: n(one), s(kip), 1 and 3 (convolutions), p(ooling)."""
    initials = dict(zip("ns13p", OPERATIONS, strict=True))
    return tuple(initials[letter] for letter in text.replace(" ", ""))


@pytest.fixture(scope="module")
def classes() -> np.ndarray:
    return nasbench201.representatives


def test_there_are_5260_classes_and_6466_nats_strings(classes: np.ndarray) -> None:
    assert len(np.unique(classes)) == 5260
    assert len({nats_unique_string(architecture.operations) for architecture in nasbench201.enumerate()}) == 6466


def test_430_nats_strings_mix_cells_that_differ(classes: np.ndarray) -> None:
    classes_of = defaultdict(set)
    strings_of = defaultdict(set)
    for architecture, representative in zip(nasbench201.enumerate(), classes, strict=True):
        string = nats_unique_string(architecture.operations)
        classes_of[string].add(int(representative))
        strings_of[int(representative)].add(string)
    mixed = Counter(len(found) for found in classes_of.values())
    assert sum(count for size, count in mixed.items() if size > 1) == 430
    # Neither partition refines the other.
    assert any(len(found) > 1 for found in strings_of.values())


def test_nats_strings_of_cells_worked_by_hand() -> None:
    # NATS-Bench, genotype_utils.py, to_unique_str with consider_zero=True; "0" is the input, "#" is nothing.
    assert nats_unique_string(cell("n nn nns")) == "#+#+#+#"
    assert nats_unique_string(cell("3 ns sn1")) == "#+(#+(0)@nor_conv_3x3)@nor_conv_1x1+0"


def test_the_representative_is_in_the_class_has_the_fewest_operations_and_then_the_smallest_index(
    classes: np.ndarray,
) -> None:
    keys = [computation(architecture.operations) for architecture in nasbench201.enumerate()]
    members = defaultdict(list)
    for number, key in enumerate(keys):
        members[key].append(number)
    assert len(members) == 5260

    def effort(number: int) -> tuple[int, int]:
        return sum(name != "none" for name in nasbench201.at(number).operations), number

    for numbers in members.values():
        assert {int(classes[number]) for number in numbers} == {min(numbers, key=effort)}


def test_canonical_is_idempotent(classes: np.ndarray) -> None:
    np.testing.assert_array_equal(classes[classes], classes)
    for number in (0, 1234, 15624):
        canonical = nasbench201.canonical(nasbench201.at(number))
        assert nasbench201.canonical(canonical) == canonical
        assert nasbench201.index(canonical) == classes[number]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("n nn snn", "s ns nns"),  # a chain of skips is a skip
        ("3 nn nsn", "n 3n nns"),  # one convolution, whichever node it passes through
        ("3 nn nsn", "n nn 3nn"),
        ("3 13 snn", "n nn snn"),  # branches that do not reach the output
        ("n nn 33n", "n nn 3nn"),  # a convolution of nothing is nothing
        ("p pn nss", "p nn psn"),  # two poolings of one input are one term, taken twice
        ("s 3n n3n", "n nn 3nn"),  # 0→2 is dead; the other convolution reads the input through a skip
        ("3 sn nss", "3 nn ssn"),  # a skipped sum is the same sum
        ("3 3s nns", "3 3n nss"),  # two instances, added in another order
        ("3 sn n11", "s 3n n11"),  # the same two chains through other nodes
    ],
)
def test_known_equal_cells(first: str, second: str) -> None:
    assert computation(cell(first)) == computation(cell(second))
    assert same_function(cell(first), cell(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3 ns nss", "3 3n nss"),  # one convolution taken twice, and two convolutions
        ("n nn snn", "n nn nnn"),
        ("n nn 1nn", "n nn 3nn"),
        ("3 nn n1n", "1 nn n3n"),  # the order of a chain
        ("s nn ssn", "n nn snn"),  # the input twice, and once
        ("3 n3 nns", "3 nn nsn"),  # two convolutions in a row
    ],
)
def test_known_different_cells(first: str, second: str) -> None:
    assert computation(cell(first)) != computation(cell(second))
    assert not same_function(cell(first), cell(second))


def test_nats_strings_confuse_instances_and_do_not_flatten_sums() -> None:
    taken_twice, two_of_them = cell("3 ns nss"), cell("3 3n nss")
    assert nats_unique_string(taken_twice) == nats_unique_string(two_of_them)
    assert computation(taken_twice) != computation(two_of_them)
    one_sum, sum_in_a_sum = cell("3 ss 33s"), cell("3 s3 3ss")
    assert nats_unique_string(one_sum) != nats_unique_string(sum_in_a_sum)
    assert computation(one_sum) == computation(sum_in_a_sum)


def test_cells_of_one_class_compute_the_same_and_cells_of_two_classes_do_not(classes: np.ndarray) -> None:
    found = fingerprints(opaque)
    assert np.abs(found - found[classes]).max() < 1e-9
    one_of_each = found[np.unique(classes)]
    itself_and_nearest = np.asarray(KDTree(one_of_each).query(one_of_each, k=2)[0])
    assert itself_and_nearest[:, 1].min() > 1e-3


def test_fingerprints_are_means_over_all_renamings() -> None:
    found = fingerprints(opaque)
    for number in (7, 1000, 9999, 15624):
        output = outputs(nasbench201.at(number).operations)
        np.testing.assert_allclose(found[number, :WIDTH], output.mean(axis=0), atol=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 15624), st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OPERATIONS)), max_size=3))
def test_equality_is_a_renaming_of_instances(number: int, changes: list[tuple[int, str]]) -> None:
    first = nasbench201.at(number)
    operations = list(first.operations)
    for edge, operation in changes:
        operations[edge] = operation
    second = Architecture(tuple(operations))
    is_equal = nasbench201.canonical(first) == nasbench201.canonical(second)
    assert same_function(first.operations, second.operations) == is_equal


def test_using_that_averages_keep_sums_would_leave_5044_classes(classes: np.ndarray) -> None:
    # Our definition takes a pooling as any function; two cells that only this fact makes equal are two classes.
    sum_of_poolings, pooling_of_sum = cell("3 nn ppn"), cell("3 ss nnp")
    assert computation(sum_of_poolings) != computation(pooling_of_sum)
    assert not same_function(sum_of_poolings, pooling_of_sum, opaque)
    assert same_function(sum_of_poolings, pooling_of_sum, linear)
    found = fingerprints(linear)
    assert np.abs(found - found[classes]).max() < 1e-9
    one_of_each = found[np.unique(classes)]
    equal = KDTree(one_of_each).query_ball_point(one_of_each, 1e-6)
    assert len({min(together) for together in equal}) == 5044
