"""The conformance kit: our own parts keep the promises, and deliberately bad ones are caught by the right check."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import Check, CheckFailed, NotApplicable, checks
from opselect.bench.conformance.proxies import CombinationFixture, names_registered_proxies
from opselect.bench.conformance.tasks import Permutation, PermutedSpace, planted_task, small_task
from opselect.selectors.decisions import without
from opselect.selectors.methods import ByScore, Magnitude, Settings, initial_state, select_edgewise
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.proxies.nwot import NASWOT, nwot
from opselect.selectors.pruning import best_operation
from opselect.selectors.scores import alpha_strength, best_accuracy, perturbation, validation_accuracy
from opselect.selectors.task import RegisteredScore, SearchState, Selection, SupernetState, Task
from opselect.spaces import registry
from opselect.spaces import table as tables
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.registry import expected_failure
from opselect.spaces.space import Architecture

QUICK = {"magnitude", "sdarts-rs", "by-score", "random", "best-acc", "avg-acc"}
QUICK |= {"alpha", "best-accuracy", "avg-accuracy", "nwot", "params", "fisher", "te_nas", "az_nas"}
REQUIRED = {"by-score": {"score": "alpha"}}


def parts() -> list[Any]:
    """Every registered selector, score, proxy and combination."""
    return [
        pytest.param(kind, name, id=f"{kind}-{name}", marks=[] if name in QUICK else [pytest.mark.slow])
        for kind in ("selectors", "scores", "proxies", "combinations")
        for name in registry.names(kind)
    ]


def broken(found: tuple[Check, ...]) -> dict[str, str]:
    """By name, the sentences of the checks whose promises are not kept."""
    sentences = {}
    for check in found:
        try:
            check.verify()
        except NotApplicable:
            continue
        except CheckFailed as sentence:
            sentences[check.name] = str(sentence)
    return sentences


@pytest.mark.parametrize(("kind", "name"), parts())
def test_our_own_parts_keep_the_promises(kind: str, name: str) -> None:
    assert broken(checks(kind, name, REQUIRED.get(name))) == {}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], str]:
    """Registers a part under the name `bad` for the test."""

    def register(kind: str, part: object) -> str:
        load, names = registry.load, registry.names
        monkeypatch.setattr(registry, "load", lambda k, n: part if (k, n) == (kind, "bad") else load(k, n))
        monkeypatch.setattr(registry, "names", lambda k: (*names(k), "bad") if k == kind else names(k))
        return "bad"

    return register


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

    supernet_state: ClassVar[SupernetState] = "trained"

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


def test_a_good_selector_next_to_the_bad_ones_is_not_caught(registered: Callable[[str, object], str]) -> None:
    class Good(Magnitude):
        """As magnitude."""

    assert broken(checks("selectors", registered("selectors", Good))) == {}


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
    found = checks("scores", registered("scores", RegisteredScore(score, "trained")))
    # The check alone: some of these scores break others in ways that are none of this test's business.
    with pytest.raises(CheckFailed, match=sentence):
        next(each for each in found if each.name == check).run()


def global_noise(network: nn.Module, batch: LabelledImages) -> float:
    return float(torch.rand(1))


def sticky_mode(network: nn.Module, batch: LabelledImages) -> float:
    network.train(not network.training)
    return 1.0


def moved_statistics(network: nn.Module, batch: LabelledImages) -> float:
    """Batch norms in training mode take the statistics of what they see."""
    was_training = network.training
    network.train()
    with torch.no_grad():
        network(batch.images)
    network.train(was_training)
    return 1.0


def first_image(network: nn.Module, batch: LabelledImages) -> float:
    return float(batch.images[0].sum())


def tensor_answer(network: nn.Module, batch: LabelledImages) -> Any:
    return torch.tensor(1.0)


def minus_nwot(network: nn.Module, batch: LabelledImages) -> float:
    return -nwot(network, batch)


class HastyTogether(NASWOT):
    def score_many(self, supernet: nn.Module, weights: Sequence[Tensor], batch: LabelledImages) -> list[float]:
        return super().score_many(supernet, [weights[0]] * len(weights), batch)


@expected_failure("larger is better", "a test says so")
def excepted(network: nn.Module, batch: LabelledImages) -> float:
    return -nwot(network, batch)


@pytest.mark.parametrize(
    ("proxy", "check", "sentence"),
    [
        (global_noise, "global random state untouched", "the global random state of torch"),
        (global_noise, "same answer again", "seed what is drawn"),
        (sticky_mode, "network untouched", "scoring a network changed modes"),
        (moved_statistics, "network untouched", "scoring a network changed parameters or buffers"),
        (first_image, "order of images is irrelevant", "in reverse order changed"),
        (tensor_answer, "answer is a number", "answer with a float"),
        (HastyTogether(), "scores together are those of each", "one of the two ways is wrong"),
        (minus_nwot, "larger is better", "turn the sign, or declare with expected_failure"),
    ],
)
def test_a_bad_proxy_is_caught_by_the_right_check(
    proxy: Callable[..., Any], check: str, sentence: str, registered: Callable[[str, object], str]
) -> None:
    found = {each.name: each for each in checks("proxies", registered("proxies", proxy))}
    with pytest.raises(CheckFailed, match=f"^proxy 'bad': {check}: .*{sentence}"):
        found[check].run()


def test_a_documented_exception_is_not_applicable(
    registered: Callable[[str, object], str],
) -> None:
    found = {each.name: each for each in checks("proxies", registered("proxies", excepted))}
    with pytest.raises(NotApplicable, match="its author says: a test says so"):
        found["larger is better"].run()
    assert broken(tuple(found.values())) == {}


@pytest.mark.parametrize(
    ("combine", "check"),
    [
        (lambda scores: -scores.sum(axis=1), "better everywhere is better"),
        (lambda scores: scores.sum(axis=1) + np.arange(len(scores)), "permuted members"),
        (lambda scores: np.nan_to_num(scores).sum(axis=1), "undefined members stand aside"),
        (lambda scores: scores, "one score a member"),
    ],
)
def test_a_bad_combination_is_caught_by_the_right_check(
    combine: Callable[[np.ndarray], np.ndarray], check: str, registered: Callable[[str, object], str]
) -> None:
    found = checks("combinations", registered("combinations", Combination(("params", "flops"), combine)))
    with pytest.raises(CheckFailed, match=check):
        next(each for each in found if each.name == check).run()


def test_an_unregistered_proxy_in_a_combination_is_named() -> None:
    combination = Combination(("params", "nwott"), lambda scores: scores.sum(axis=1))
    with pytest.raises(CheckFailed, match="nwott are not registered"):
        names_registered_proxies(CombinationFixture(combination))


@pytest.mark.parametrize(("kind", "part"), [("scores", 3), ("combinations", nwot), ("proxies", "text")])
def test_what_is_of_another_kind_is_refused(kind: str, part: object, registered: Callable[[str, object], str]) -> None:
    with pytest.raises(CheckFailed, match="expected a"):
        checks(kind, registered(kind, part))


@pytest.mark.parametrize("permutation", [Permutation.of_operations(digits201), Permutation.of_edges(digits201)])
def test_a_permuted_task_is_the_same_problem(permutation: Permutation) -> None:
    task = small_task("trained")
    permuted = permutation.task(small_task("trained"))
    space, plain = permuted.space, task.space
    assert isinstance(space, PermutedSpace)
    generator = np.random.default_rng(0)
    assert task.valid_accuracies is not None and permuted.valid_accuracies is not None
    by_text = dict(zip((plain.format(a) for a in plain.enumerate()), task.valid_accuracies, strict=True))
    for number, architecture in enumerate(space.enumerate()):
        if number % 500 == 0:
            assert by_text[space.format(architecture)] == permuted.valid_accuracies[number]
    for _ in range(5):
        architecture = space.sample(generator)
        assert space.parse(space.format(architecture)) == architecture
        assert all(name in edge.operations for name, edge in zip(architecture.operations, space.edges, strict=True))
    assert task.supernet is not None and permuted.supernet is not None
    images = task.images.val_split.images
    ours, theirs = (initial_state(each).decisions.weights(initial_state(each).alpha) for each in (task, permuted))
    with torch.no_grad():
        logits = task.supernet.eval()(images, ours), permuted.supernet.eval()(images, theirs)
    torch.testing.assert_close(*logits)
    assert permutation.back({0: (0.0, 1.0, 2.0, 3.0, 4.0)}).keys() == {permutation.edges[0]}


def test_a_planted_supernet_misses_the_right_operation_most() -> None:
    plan = (1, 2, 3, 4, 1, 2)
    state = initial_state(planted_task("trained", plan))
    weights = state.decisions.weights(state.alpha).detach()
    whole, *others = validation_accuracy(state, [weights, *(without(weights, *pair) for pair in enumerate(plan))])
    assert 30 < whole < 99
    assert len(others) == 6
    assert max(others) < whole


def test_by_score_is_the_catalog_s_selector_of_the_same_score() -> None:
    assert ByScore(score="alpha")(small_task("trained")) == Magnitude()(small_task("trained"))
    for ours, theirs in (("best-accuracy", "best-acc"), ("random", "random")):
        by_score = ByScore(score=ours, edge_order="fixed")
        selector = registry.load("selectors", theirs)()
        if "edge_order" in type(selector).model_fields:
            selector = selector.model_copy(update={"edge_order": "fixed"})
        assert by_score(small_task("none")) == selector(small_task("none"))
        assert (by_score.supernet_state, by_score.oracle) == (selector.supernet_state, selector.oracle)


def test_slow_settings_are_made_small_unless_they_are_given(registered: Callable[[str, object], str]) -> None:
    seen = []

    class Recording(Magnitude):
        candidates: int = 10
        batch_size: int = 2
        tuning_epochs: int = 5

        def __call__(self, task: Task) -> Selection:
            seen.append((self.candidates, self.batch_size, self.tuning_epochs))
            return super().__call__(task)

    checks("selectors", registered("selectors", Recording), {"tuning_epochs": 3})[0].run()
    assert seen == [(2, 2, 3)]
