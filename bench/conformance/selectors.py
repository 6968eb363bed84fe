"""The checks of selectors and of scores: one small function each, whose first line says what is checked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor, nn

from opselect.bench.conformance.check import (
    CheckFailed,
    NotApplicable,
    changed,
    expect,
    expect_no_random_state,
    leaving_random_state,
    random_states,
    same,
)
from opselect.bench.conformance.proxies import expect_unchanged, snapshot
from opselect.bench.conformance.tasks import Permutation, planted_task, sealed, small_task
from opselect.selectors.methods import Settings, initial_state
from opselect.selectors.task import INITIAL_SUPERNET, Needs, RegisteredScore, SearchState, Selection, Selector, Task
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import NONE

Scores = dict[int, tuple[float, ...]]
"""By edge number, one score per operation."""

Answer = TypeVar("Answer")


# --- scores


@dataclass(frozen=True)
class ScoreFixture:
    """A registered score.

    Attributes:
        score: Score to check.
    """

    score: RegisteredScore

    @property
    def needs(self) -> Needs:
        """Needs of the score."""
        return self.score.needs

    @property
    def oracle(self) -> bool:
        """Whether it reads validation accuracies."""
        return self.score.oracle

    def states(self, seed: int = 5) -> dict[str, SearchState]:
        """The state before the first decision and one after three decisions, by name; each with its own task."""
        return {
            "at the start": initial_state(small_task(self.needs, seed)),
            "half-way": initial_state(small_task(self.needs, seed)).decide(0, 3).decide(4, 1).decide(2, 2),
        }

    @cached_property
    def original_scores(self) -> Scores:
        """Scores with which permuted ones are compared."""
        return self.first_scores(small_task(self.needs))

    def first_scores(self, task: Task) -> Scores:
        """Scores of all edges before the first decision."""
        state = initial_state(task)
        return {edge: tuple(self.score(state, edge).tolist()) for edge in state.decisions.open_edges}


def one_number_an_operation(fixture: ScoreFixture) -> None:
    """For every open edge there is one floating-point number an operation, and at least one of them is finite."""
    for when, state in fixture.states().items():
        for edge in state.decisions.open_edges:
            scores, expected = fixture.score(state, edge), len(state.decisions.edges[edge].operations)
            expect(
                isinstance(scores, Tensor) and scores.shape == (expected,) and scores.is_floating_point(),
                f"{when}, edge {edge} has the scores {scores!r}; expected a floating-point tensor of {expected}",
            )
            expect(bool(scores.isfinite().any()), f"{when}, edge {edge} has no finite score, so nothing can be chosen")


def same_scores_again(fixture: ScoreFixture) -> None:
    """The same state has the same scores, when asked again and in a task that is built anew."""
    for when, state in fixture.states().items():
        rebuilt = fixture.states()[when]
        for edge in state.decisions.open_edges:
            first, again = fixture.score(state, edge), fixture.score(state, edge)
            expect(same(first, again), f"{when}, edge {edge}: asked again, the scores {first.tolist()} were other ones")
            expect(
                same(first, fixture.score(rebuilt, edge)),
                f"{when}, edge {edge}: the same task built anew gave other scores; draw from task.numpy_generator(...)",
            )


def scoring_leaves_everything(fixture: ScoreFixture) -> None:
    """Supernet, alpha, images and the global random states are afterwards what they were before."""
    for when, state in fixture.states().items():
        task = state.task
        network = task.supernet or nn.Identity()
        alpha, before = state.alpha.clone(), snapshot(network, task.images.val_split)
        with leaving_random_state(f"scoring {when}"):
            for edge in state.decisions.open_edges:
                fixture.score(state, edge)
        expect_unchanged(f"scoring {when}", changed(before, snapshot(network, task.images.val_split)))
        expect(same(alpha, state.alpha), f"scoring {when} changed alpha; clone what you change")


def score_reads_its_task_only(fixture: ScoreFixture) -> None:
    """A score reads no table and no dataset, and the validation accuracies of its task only if it is an oracle."""
    task = small_task(fixture.needs)
    reduced = task if fixture.oracle else replace(task, valid_accuracies=None, best_valid_accuracies=None)
    with sealed() as reads:
        scores = _unless_missing(lambda: fixture.first_scores(reduced))
    _expect_no_reads(reads)
    if not fixture.oracle:
        expect(
            same(list((scores or {}).values()), list(fixture.first_scores(task).values())),
            "its scores depend on the table's validation accuracies; declare oracle=True, so that reports know",
        )


SCORE_CHECKS: tuple[Callable[[ScoreFixture], None], ...] = (
    one_number_an_operation,
    same_scores_again,
    scoring_leaves_everything,
    score_reads_its_task_only,
)


# --- selectors


@dataclass(frozen=True)
class Run:
    """One call of a selector.

    Attributes:
        task: Task after the call.
        selection: Selection that it returned.
        seconds: Duration in seconds.
        changed: What the call has changed of the task, though it must not: alpha, images or accuracies.
        random_used: Libraries whose global random states the call has changed.
    """

    task: Task
    selection: Selection
    seconds: float
    changed: list[str]
    random_used: list[str]


def _run(selector: Selector, task: Task) -> Run:
    before, random_before, started = _given(task), random_states(), time.perf_counter()
    selection = selector(task)
    seconds = time.perf_counter() - started
    random_used = changed(random_before, random_states())
    return Run(task, selection, seconds, changed(before, _given(task)), random_used)


def _given(task: Task) -> dict[str, object]:
    """Copies of what a selector may read and must not change, by name; it may change the supernet."""
    splits = (task.images.train_split, task.images.val_split)
    return {
        "alpha": None if task.alpha is None else task.alpha.clone(),
        "images or labels": [[split.images.clone(), split.labels.clone()] for split in splits],
        "the table's accuracies": [
            None if accuracies is None else accuracies.copy()
            for accuracies in (task.valid_accuracies, task.best_valid_accuracies)
        ],
    }


@dataclass(frozen=True)
class SelectorFixture:
    """A selector and a way to make its task.

    Attributes:
        selector: Selector to check.
        make_task: Builds the same task, with a supernet of its own, on every call; the task records no further scores.
    """

    selector: Selector
    make_task: Callable[[], Task]

    @property
    def needs(self) -> Needs:
        """Needs of the selector."""
        return self.selector.needs

    @property
    def oracle(self) -> bool:
        """Whether it reads validation accuracies."""
        return bool(getattr(self.selector, "oracle", False))

    @cached_property
    def run(self) -> Run:
        """The first call."""
        return _run(self.selector, self.make_task())

    @cached_property
    def again(self) -> Run:
        """A second call with the same task, built again; it is the timed one, since by then everything is loaded."""
        return _run(self.selector, self.make_task())

    @cached_property
    def observed(self) -> Run:
        """A call whose task records all scores."""
        return _run(self.selector, replace(self.make_task(), record_all_scores=True))

    @property
    def original_scores(self) -> Scores:
        """Scores with which permuted ones are compared."""
        return self.observed.selection.steps[0].scores

    def first_scores(self, task: Task) -> Scores:
        """Scores of the first step: of all open edges, if the selector records them."""
        return self.selector(replace(task, record_all_scores=True)).steps[0].scores


def valid_architecture(fixture: SelectorFixture) -> None:
    """The selected architecture is one of the space, and its text describes it."""
    space, architecture = fixture.run.task.space, fixture.run.selection.architecture
    expect(
        len(architecture.operations) == len(space.edges),
        f"it selected {len(architecture.operations)} operations for the {len(space.edges)} edges of {space.name}",
    )
    try:
        text = space.format(architecture)
        again = space.parse(text)
    except ValueError as error:
        raise CheckFailed(f"it selected {architecture.operations}, which is no architecture: {error}") from error
    expect(again == architecture, f"{text} is not the architecture that it selected, {architecture.operations}")


def every_edge_decided_once(fixture: SelectorFixture) -> None:
    """Its steps decide every edge once, with one score an operation, and lead to the architecture."""
    task, selection = fixture.run.task, fixture.run.selection
    decided, edges = [step.edge for step in selection.steps], task.space.edges
    expect(
        sorted(decided) == list(range(len(edges))),
        f"it decided the edges {decided}, expected each of {len(edges)} once",
    )
    for step in selection.steps:
        operations, scores = edges[step.edge].operations, step.scores.get(step.edge, ())
        expect(
            len(scores) == len(operations),
            f"the step of edge {step.edge} shows {len(scores)} scores for {len(operations)} operations; show all",
        )
        final = selection.architecture.operations[step.edge]
        # With several candidates, steps are those of the first one, and another may have been selected.
        expect(
            bool(selection.candidates) or final in (operations[step.operation], NONE),
            f"edge {step.edge} was decided as {operations[step.operation]}, but the architecture has {final}",
        )


def best_score_is_chosen(fixture: SelectorFixture) -> None:
    """Larger is better: on every edge the operation with the largest finite score is the chosen one."""
    for step in fixture.run.selection.steps:
        scores = step.scores[step.edge]
        finite = [score for score in scores if np.isfinite(score)]
        expect(
            bool(finite) and scores[step.operation] == max(finite),
            f"edge {step.edge}: of the scores {[round(score, 4) for score in scores]} the chosen operation, number "
            f"{step.operation}, has not the best one; choose the largest, or turn the sign of the scores",
        )


def same_task_same_selection(fixture: SelectorFixture) -> None:
    """The same task, built anew, gives the same selection: architecture, steps and candidates."""
    first, again = fixture.run.selection, fixture.again.selection
    expect(
        first == again,
        f"the same task gave another selection ({_difference(first, again)}); draw from task.numpy_generator(...) or "
        "task.torch_generator(...), and keep nothing between calls",
    )


def _difference(first: Selection, second: Selection) -> str:
    fields = ("architecture", "steps", "pruning", "candidates")
    return "other " + " and ".join(field for field in fields if getattr(first, field) != getattr(second, field))


def only_the_supernet_changes(fixture: SelectorFixture) -> None:
    """A selector changes no global random state and nothing of its task but the supernet, which is its own."""
    run = fixture.run
    expect_no_random_state("selecting", run.random_used)
    expect(
        not run.changed,
        f"selecting changed {' and '.join(run.changed)} of its task; other trials read them too, so copy",
    )


def costs_are_written(fixture: SelectorFixture) -> None:
    """The costs have every score that decided, and most of the time that passed, by phases."""
    run = fixture.again
    costs, deciding = run.task.costs, sum(len(step.scores[step.edge]) for step in run.selection.steps)
    expect(
        costs.evaluations >= deciding,
        f"its steps show {deciding} scores that decided and its costs {costs.evaluations} evaluations; add to "
        "task.costs.evaluations, or let decide_edges do it",
    )
    expect(bool(costs.seconds), "its costs have no phase; measure with task.costs.phase('scoring')")
    written = sum(costs.seconds.values())
    expect(
        written <= 1.05 * run.seconds + 0.01,
        f"it took {run.seconds:.2f} s and its costs say {written:.2f} s; phases must not lie within one another",
    )
    expect(
        written >= run.seconds / 2 or run.seconds < 0.1,
        f"it took {run.seconds:.2f} s and its costs say {written:.2f} s; put all work into task.costs.phase(...)",
    )


def observing_changes_nothing(fixture: SelectorFixture) -> None:
    """A task that observes all scores leads to the same decisions, at the same price."""
    plain, observed = fixture.run, fixture.observed
    expect(
        observed.selection.architecture == plain.selection.architecture,
        "observing changed the architecture; what is scored for the report must not touch what decides",
    )
    expect(
        [step.scores[step.edge] for step in observed.selection.steps]
        == [step.scores[step.edge] for step in plain.selection.steps],
        "observing changed the scores that decide",
    )
    expect(
        observed.task.costs.evaluations == plain.task.costs.evaluations,
        f"observing changed the evaluations from {plain.task.costs.evaluations} to "
        f"{observed.task.costs.evaluations}; count only what decides",
    )


def selector_reads_its_task_only(fixture: SelectorFixture) -> None:
    """A selector reads no table and no dataset, and the validation accuracies of its task only if it is an oracle."""
    task = fixture.make_task()
    reduced = task if fixture.oracle else replace(task, valid_accuracies=None, best_valid_accuracies=None)
    with sealed() as reads:
        selection = _unless_missing(lambda: fixture.selector(reduced))
    _expect_no_reads(reads)
    expect(
        fixture.oracle or selection == fixture.run.selection,
        "without the table's validation accuracies it selects something else or fails; declare "
        "'oracle: ClassVar[bool] = True', so that experiments know",
    )


SELECTOR_CHECKS: tuple[Callable[[SelectorFixture], None], ...] = (
    valid_architecture,
    every_edge_decided_once,
    best_score_is_chosen,
    same_task_same_selection,
    only_the_supernet_changes,
    costs_are_written,
    observing_changes_nothing,
    selector_reads_its_task_only,
)


def settings_survive_a_file(fixture: SelectorFixture) -> None:
    """A selector is a `Settings`: immutable, and the same again when its settings are written to a record and read."""
    selector = fixture.selector
    expect(
        isinstance(selector, Settings),
        f"it is a {type(selector).__name__}; experiments need a subclass of opselect.selectors.methods.Settings",
    )
    assert isinstance(selector, Settings)
    again = type(selector).model_validate_json(selector.model_dump_json())
    expect(again == selector, f"its settings {selector.model_dump()} came back from JSON as {again.model_dump()}")


# --- what selectors and scores have in common


def _unless_missing(attempt: Callable[[], Any]) -> Any:
    """The result of a call, or None where it failed because it may not read something."""
    try:
        return attempt()
    except Exception:
        return None


def _expect_no_reads(reads: list[str]) -> None:
    expect(
        not reads,
        f"it read {', '.join(dict.fromkeys(reads))}; a selection may read its task and nothing else, test "
        "accuracies and test images least of all",
    )


def permuted_operations(fixture: SelectorFixture | ScoreFixture) -> None:
    """Operations in another order have the scores that they had, and the same ones are chosen."""
    permutation = Permutation.of_operations(digits201)
    task = permutation.task(small_task(fixture.needs, record_all_scores=True))
    if isinstance(fixture, ScoreFixture):
        _check_permuted_scores(fixture, permutation, fixture.first_scores(task), "the operations of every edge")
        return
    selection = fixture.selector(task)
    _check_permuted_scores(fixture, permutation, selection.steps[0].scores, "the operations of every edge")
    _check_later_steps(fixture.observed.selection, selection, permutation)


def permuted_edges(fixture: SelectorFixture | ScoreFixture) -> None:
    """Edges in another order have the scores that they had."""
    permutation = Permutation.of_edges(digits201)
    permuted = fixture.first_scores(permutation.task(small_task(fixture.needs)))
    _check_permuted_scores(fixture, permutation, permuted, "the edges")


MOSTLY_EQUAL = 0.99
CHANCE = 0.5


def _check_permuted_scores(
    fixture: SelectorFixture | ScoreFixture, permutation: Permutation, permuted: Scores, what: str
) -> None:
    """Check that permuted scores agree with the original ones.

    Only scores before the first decision can be compared: later ones depend on which edge was decided first. Some
    methods draw random numbers by the number of an edge or an operation (alpha's random start, the order of edges).
    Their scores may differ as much as with another seed, and no more.
    """
    agreement = _agreement(fixture.original_scores, permutation.back(permuted))
    if agreement is None:
        raise NotApplicable("its first step shows no edge that is also shown in the other order")
    if agreement >= MOSTLY_EQUAL:
        return
    by_seed = _agreement(fixture.original_scores, fixture.first_scores(small_task(fixture.needs, seed=6)))
    drawn = by_seed is not None and by_seed < MOSTLY_EQUAL
    expect(
        drawn and by_seed is not None and agreement >= by_seed - CHANCE,
        f"with {what} in another order the scores correlate with those in the first order by only {agreement:.2f}"
        + (f", with another seed by {by_seed:.2f}" if drawn else "")
        + "; go by what operations and edges do, never by their numbers",
    )


def _agreement(first: Scores, second: Scores) -> float | None:
    """Spearman's correlation of the scores on common edges; 1 if they are equal, None if there are no common edges."""
    common = sorted(first.keys() & second.keys())
    one, other = (np.array([score for edge in common for score in scores[edge]]) for scores in (first, second))
    if not common:
        return None
    if np.allclose(one, other, rtol=1e-3, equal_nan=True):
        return 1.0
    finite = np.isfinite(one) & np.isfinite(other)
    if not finite.any() or len(set(one[finite])) == 1 or len(set(other[finite])) == 1:
        return 0.0
    return float(spearmanr(one[finite], other[finite]).statistic)


def _check_later_steps(original: Selection, permuted: Selection, permutation: Permutation) -> None:
    """Check that decisions agree until one of them is made among equal scores, where the first operation is chosen."""
    for one, other in zip(original.steps, permuted.steps, strict=False):
        back = permutation.back(other.scores).get(one.edge, ())
        scores = one.scores[one.edge]
        equal = len(back) == len(scores) and np.allclose(scores, back, rtol=1e-3, equal_nan=True)
        if one.tied or permutation.edges[other.edge] != one.edge or not equal:
            return
        chosen = permutation.operations[other.edge][other.operation]
        expect(
            chosen == one.operation or np.isclose(scores[chosen], scores[one.operation], rtol=1e-3),
            f"edge {one.edge}: with the same scores in another order operation {chosen} was chosen instead of "
            f"{one.operation}; go by the scores",
        )


FIRST_PLAN = (1, 2, 3, 4, 1, 2)
SECOND_PLAN = (3, 4, 1, 2, 3, 4)


def larger_is_better(fixture: SelectorFixture | ScoreFixture) -> None:
    """An operation for which supernet, alpha and accuracies speak does better than where they speak for another.

    Two tasks differ in one thing: each has another planted best operation on every edge, of which supernet, alpha and
    accuracies agree that it is the best one. The planted operation must do better in its own task than in the other
    task, where another one is planted. Comparing an operation with itself cancels what a method prefers anyway, such as
    skip connections, and leaves the sign: with the wrong one, the planted operation does better in the other task.
    """
    if fixture.needs == INITIAL_SUPERNET:
        raise NotApplicable("it works on an untrained supernet, of which nobody knows which operation is best")
    first, second = (planted_task(fixture.needs, plan) for plan in (FIRST_PLAN, SECOND_PLAN))
    if isinstance(fixture, ScoreFixture):
        own, foreign, equal = _counts(rank_sum, fixture.first_scores(first), fixture.first_scores(second))
        observed = f"the ranks of the right operations add up to {own:g}, those of the wrong ones to {foreign:g}"
    else:
        own, foreign, equal = _counts(hits, _chosen(fixture.selector(first)), _chosen(fixture.selector(second)))
        observed = f"of 12 right operations it chose {own:g}, and of 12 wrong ones {foreign:g}"
    if own == foreign and equal:
        raise NotApplicable("it does not depend on supernet, alpha or accuracies")
    expect(
        own > foreign,
        f"{observed}; a larger score must mean a better operation, so turn the sign (removing a good one hurts)",
    )


def _counts(
    count: Callable[[Answer, Sequence[int]], float], first: Answer, second: Answer
) -> tuple[float, float, bool]:
    """Count how well two answers match their own plans and each other's, and compare them.

    Returns:
        The count for their own plans, the count for each other's, and whether the two answers are equal.
    """
    own = count(first, FIRST_PLAN) + count(second, SECOND_PLAN)
    foreign = count(second, FIRST_PLAN) + count(first, SECOND_PLAN)
    return float(own), float(foreign), first == second


def _chosen(selection: Selection) -> tuple[int, ...]:
    """Numbers of the selected operations, by edge."""
    return tuple(map(digits201.edges[0].operations.index, selection.architecture.operations))


def hits(chosen: Sequence[int], plan: Sequence[int]) -> int:
    """Number of edges on which the planted operation was chosen.

    Args:
        chosen: Number of the chosen operation, by edge.
        plan: Number of the planted operation, by edge.

    Example:
        >>> hits((1, 2, 3), plan=(1, 0, 3))
        2
    """
    return sum(map(int.__eq__, chosen, plan))


def rank_sum(scores: Scores, plan: Sequence[int]) -> float:
    """Number of operations with a lower score than the planted one, summed over edges; ties count one half.

    Args:
        scores: One score per operation, by edge number.
        plan: Number of the planted operation, by edge.

    Example:
        >>> rank_sum({0: (0.1, 0.9, 0.3), 1: (0.5, 0.5, 0.2)}, plan=(1, 0))
        3.5
    """
    total = 0.0
    for edge, best in enumerate(plan):
        own, all_scores = scores[edge][best], np.array(scores[edge])
        total += float((all_scores < own).sum() + 0.5 * ((all_scores == own).sum() - 1))
    return total


PERMUTED_AND_PLANTED: tuple[Callable[[SelectorFixture | ScoreFixture], None], ...] = (
    permuted_operations,
    permuted_edges,
    larger_is_better,
)
"""Checks of selectors and scores on tasks in another order, or with a planted best operation."""
