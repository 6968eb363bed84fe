"""Deliberately bad selectors and scores are caught by the right check."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from opselect.bench.conformance.run import CheckFailed, checks
from opselect.bench.conformance.tasks import small_task
from opselect.selectors.methods import ByScore, Magnitude, Settings, select_edgewise
from opselect.selectors.pruning import best_operation
from opselect.selectors.scores import alpha_strength, best_accuracy, perturbation, validation_accuracy
from opselect.selectors.task import NO_SUPERNET, TRAINED_SUPERNET, Needs, RegisteredScore, SearchState, Selection, Task
from opselect.spaces import registry
from opselect.spaces import table as tables
from opselect.spaces.digits import digits
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import Architecture


class GlobalRandomness(Magnitude):
    def __call__(self, task: Task) -> Selection:
        np.random.rand()  # noqa: NPY002 - that is the point
        return super().__call__(task)


class Forgetful(Magnitude):
    """Another candidate each time."""

    def __call__(self, task: Task) -> Selection:
        selection = super().__call__(task)
        return replace(selection, candidates=((selection.architecture, float(np.random.default_rng().random())),))


class Peeking(Magnitude):
    """Reads the accuracies of the task without saying so."""

    def __call__(self, task: Task) -> Selection:
        return select_edgewise(task, best_accuracy, "fixed", best_operation(best_accuracy))


class Cheating(Magnitude):
    """Opens the table and looks up the test accuracies, and hides that nothing came of it."""

    def __call__(self, task: Task) -> Selection:
        with contextlib.suppress(Exception):
            tables.load("digits201").accuracies("digits", "test", 10, "mean")
        return super().__call__(task)


class ReadingTestImages(Magnitude):
    def __call__(self, task: Task) -> Selection:
        assert len(digits().test)
        return super().__call__(task)


def minus_alpha(state: SearchState, edge: int) -> Tensor:
    return -alpha_strength(state, edge)


class WrongSign(Magnitude):
    def __call__(self, task: Task) -> Selection:
        return select_edgewise(task, minus_alpha, "fixed", best_operation(minus_alpha))


class KeepsTheWorst(Magnitude):
    def __call__(self, task: Task) -> Selection:
        selection = super().__call__(task)
        worst = tuple(replace(step, operation=int(np.argmin(step.scores[step.edge]))) for step in selection.steps)
        architecture = Architecture(tuple(digits201.edges[0].operations[step.operation] for step in worst))
        return replace(selection, steps=worst, architecture=architecture)


class Invalid(Magnitude):
    def __call__(self, task: Task) -> Selection:
        selection = super().__call__(task)
        return replace(selection, architecture=Architecture(("no such operation",) * 6))


class Incomplete(Magnitude):
    def __call__(self, task: Task) -> Selection:
        selection = super().__call__(task)
        return replace(selection, steps=selection.steps[:-1])


def favouring_the_first(state: SearchState, edge: int) -> Tensor:
    return alpha_strength(state, edge) + torch.tensor([0.9, 0, 0, 0, 0])


class FavouringTheFirst(Magnitude):
    def __call__(self, task: Task) -> Selection:
        return select_edgewise(task, favouring_the_first, "fixed", best_operation(favouring_the_first))


def favouring_edge_numbers(state: SearchState, edge: int) -> Tensor:
    return alpha_strength(state, edge) * (1 + 5 * (edge % 3))


class FavouringEdgeNumbers(Magnitude):
    def __call__(self, task: Task) -> Selection:
        return select_edgewise(task, favouring_edge_numbers, "fixed", best_operation(favouring_edge_numbers))


class Free(Magnitude):
    """Costs nothing, as far as its own account goes."""

    def __call__(self, task: Task) -> Selection:
        return super().__call__(replace(task, costs=type(task.costs)()))


class ChangesAlpha(Magnitude):
    def __call__(self, task: Task) -> Selection:
        selection = super().__call__(task)
        assert task.alpha is not None
        task.alpha.zero_()
        return selection


class ChangesWhenObserved(Magnitude):
    def __call__(self, task: Task) -> Selection:
        score = minus_alpha if task.record_all_scores else alpha_strength
        return select_edgewise(task, score, "fixed", best_operation(score))


class Mutable(Settings):
    """Its setting does not survive a record."""

    needs: ClassVar[Needs] = TRAINED_SUPERNET

    share: float = 0.5

    def __call__(self, task: Task) -> Selection:
        return Magnitude()(task)

    def model_dump_json(self, **options: Any) -> str:  # type: ignore[override]
        return '{"share": 0.25}'


@pytest.mark.parametrize(
    ("selector", "check", "sentence"),
    [
        (GlobalRandomness, "only the supernet changes", "used the global random state of numpy; draw from"),
        (Forgetful, "same task same selection", "another selection .other candidates.; draw from task.numpy_generator"),
        (Peeking, "selector reads its task only", "without the table's validation accuracies .* declare"),
        (
            Cheating,
            "selector reads its task only",
            "read a table of accuracies.accuracies; a selection may read its",
        ),
        (ReadingTestImages, "selector reads its task only", "read a dataset.test; a selection may read its task"),
        (WrongSign, "larger is better", "of 12 right operations it chose 0.*turn the sign"),
        (
            KeepsTheWorst,
            "best score is chosen",
            "the chosen operation, number .* has not the best one; choose",
        ),
        (Invalid, "valid architecture", "which is no architecture: edge 0→1: unknown operation"),
        (Incomplete, "every edge decided once", "expected each of 6 once"),
        (
            FavouringTheFirst,
            "permuted operations",
            "with the operations of every edge in another order .* never by",
        ),
        (FavouringEdgeNumbers, "permuted edges", "with the edges in another order .* never by their numbers"),
        (
            Free,
            "costs are written",
            "30 scores that decided and its costs 0 evaluations; add to task.costs",
        ),
        (ChangesAlpha, "only the supernet changes", "selecting changed alpha of its task"),
        (ChangesWhenObserved, "observing changes nothing", "observing changed the architecture"),
        (Mutable, "settings survive a file", "came back from JSON as"),
    ],
)
def test_a_bad_selector_is_caught_by_the_right_check(
    selector: type[Settings], check: str, sentence: str, registered: Callable[[str, object], str]
) -> None:
    found = checks("selectors", registered("selectors", selector))
    with pytest.raises(CheckFailed, match=f"^selector 'bad': {check}: .*{sentence}"):
        next(each for each in found if each.name == check).run()


def changing_the_supernet(state: SearchState, edge: int) -> Tensor:
    assert state.task.supernet is not None
    with torch.no_grad():
        next(state.task.supernet.parameters()).mul_(1.01)
    return alpha_strength(state, edge)


def never_the_same(state: SearchState, edge: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng().random(5))


def whole_numbers(state: SearchState, edge: int) -> Tensor:
    return torch.arange(5)


def worse_is_better(state: SearchState, edge: int) -> Tensor:
    return -perturbation(validation_accuracy)(state, edge)


@pytest.mark.parametrize(
    ("score", "check", "sentence"),
    [
        (changing_the_supernet, "scoring leaves everything", "changed parameters or buffers; work on copies"),
        (never_the_same, "same scores again", "asked again"),
        (whole_numbers, "one number an operation", "expected a floating-point tensor of 5"),
        (worse_is_better, "larger is better", "removing a good one hurts"),
        (best_accuracy, "score reads its task only", "declare oracle=True"),
        (favouring_the_first, "permuted operations", "never by their numbers"),
        (favouring_edge_numbers, "permuted edges", "never by their numbers"),
    ],
)
def test_a_bad_score_is_caught_by_the_right_check(
    score: Callable[[SearchState, int], Tensor],
    check: str,
    sentence: str,
    registered: Callable[[str, object], str],
) -> None:
    found = checks("scores", registered("scores", RegisteredScore(score, TRAINED_SUPERNET)))
    # The check alone: some of these scores break others in ways that are none of this test's business.
    with pytest.raises(CheckFailed, match=sentence):
        next(each for each in found if each.name == check).run()


def test_by_score_is_the_catalog_s_selector_of_the_same_score() -> None:
    assert ByScore(score="alpha")(small_task(TRAINED_SUPERNET)) == Magnitude()(small_task(TRAINED_SUPERNET))
    for ours, theirs in (("best-accuracy", "best-acc"), ("random", "random")):
        by_score = ByScore(score=ours, edge_order="fixed")
        selector = registry.load("selectors", theirs)()
        if "edge_order" in type(selector).model_fields:
            selector = selector.model_copy(update={"edge_order": "fixed"})
        assert by_score(small_task(NO_SUPERNET)) == selector(small_task(NO_SUPERNET))
        assert (by_score.needs, by_score.oracle) == (selector.needs, selector.oracle)
