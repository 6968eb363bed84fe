"""The checks of spaces: one small function each, whose first line says what is checked."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from opselect.bench.conformance.check import NotApplicable, expect, leaving_random_state, same
from opselect.spaces.errors import UserError
from opselect.spaces.seeds import numpy_generator, torch_generator
from opselect.spaces.space import NONE, Architecture, InvalidArchitecture, SearchSpace

SAMPLES = 12
MOST_DRAWN = 2000
"""Number of samples in which every operation must occur, and number of architectures whose order is checked."""
MOST_COUNTED = 200_000
"""Largest number of architectures of a space that are counted."""
CLASSES = 3


@dataclass(frozen=True)
class SpaceFixture:
    """A space, and the images and networks that its checks share.

    Attributes:
        space: Space to check.
        name: Its registered name, or None where it is not registered.
    """

    space: SearchSpace
    name: str | None = None

    @cached_property
    def samples(self) -> list[Architecture]:
        """A few random architectures."""
        generator = numpy_generator("conformance", "samples")
        return [self.space.sample(generator) for _ in range(SAMPLES)]

    @cached_property
    def small(self) -> SearchSpace:
        """The same space with small networks."""
        return self.space.resized(4, 3)

    @cached_property
    def images(self) -> Tensor:
        """Four images, `[4, 3, 16, 16]`."""
        return torch.randn(4, 3, 16, 16, generator=torch_generator("conformance", "images"))

    @cached_property
    def supernet(self) -> nn.Module:
        """Small supernet in evaluation mode."""
        return self.small.supernet(3, CLASSES, seed=1).eval()

    def network(self, architecture: Architecture) -> nn.Module:
        """Small stand-alone network in evaluation mode."""
        return self.small.network(architecture, 3, CLASSES, seed=1).eval()

    def one_hot(self, architecture: Architecture) -> Tensor:
        """Weights `[edges, operations]` under which the supernet is this architecture; pruned edges have none."""
        edges = self.space.edges
        weights = torch.zeros(len(edges), max(len(edge.operations) for edge in edges))
        for number, (edge, operation) in enumerate(zip(edges, architecture.operations, strict=True)):
            if operation in edge.operations:
                weights[number, edge.operations.index(operation)] = 1
        return weights


def well_formed_edges(fixture: SpaceFixture) -> None:
    """Every edge goes from a node to a later one and offers distinct operations; the space has its registered name."""
    space = fixture.space
    expect(len(space.edges) > 0, "it has no edge; a space needs something to decide")
    for edge in space.edges:
        expect(edge.source < edge.target, f"edge {edge.name} does not go to a later node; number nodes in their order")
        expect(
            len(set(edge.operations)) == len(edge.operations) > 0,
            f"edge {edge.name} offers {edge.operations}; name each of its operations once",
        )
    places = [(edge.cell, edge.source, edge.target) for edge in space.edges]
    expect(len(set(places)) == len(places), f"two edges of one cell join the same nodes: {places}; merge them")
    expect(
        fixture.name in (None, space.name),
        f"it is registered as {fixture.name!r} and calls itself {space.name!r}; random streams and tables go by the "
        "name, so use one for both",
    )


def text_and_back(fixture: SpaceFixture) -> None:
    """`parse` undoes `format`, and different architectures have different texts."""
    space = fixture.space
    texts: dict[str, Architecture] = {}
    for architecture in fixture.samples:
        text = space.format(architecture)
        expect("\n" not in text and text == text.strip(), f"format gave {text!r}; it must be one line without margins")
        expect(space.parse(text) == architecture, f"parse({text!r}) is not the architecture that was formatted")
        expect(texts.setdefault(text, architecture) == architecture, f"two architectures have the text {text!r}")


def bad_text_is_refused(fixture: SpaceFixture) -> None:
    """`parse` and `format` answer what is no architecture with `InvalidArchitecture`, a sentence in one line."""
    space, text = fixture.space, fixture.space.format(fixture.samples[0])
    unknown = Architecture(("no such operation",) * len(space.edges))
    attempts: list[tuple[str, Callable[[], object]]] = [
        *(
            (f"parse({bad!r})", lambda bad=bad: space.parse(bad))
            for bad in ("", "no architecture", text[: -len(text) // 2])
        ),
        ("format of unknown operations", lambda: space.format(unknown)),
        ("format of too few operations", lambda: space.format(Architecture(()))),
    ]
    for what, attempt in attempts:
        try:
            answer = attempt()
        except InvalidArchitecture as error:
            expect("\n" not in str(error), f"{what} is refused in several lines; say it in one sentence")
        except Exception as error:
            expect(False, f"{what} raised {type(error).__name__}: {error}; raise InvalidArchitecture instead")
        else:
            expect(False, f"{what} gave {answer!r}; raise InvalidArchitecture instead")


def samples_are_architectures(fixture: SpaceFixture) -> None:
    """`sample` draws valid architectures, the same with the same generator, and every operation sooner or later."""
    space = fixture.space
    first, second = (space.sample(np.random.default_rng(7)) for _ in range(2))
    expect(first == second, "two generators with one seed gave two architectures; draw from the given generator alone")
    generator = np.random.default_rng(0)
    seen: list[set[str]] = [set() for _ in space.edges]
    for _ in range(MOST_DRAWN):
        architecture = space.sample(generator)
        for operations, edge, operation in zip(seen, space.edges, architecture.operations, strict=True):
            left_out = space.inputs_per_node is not None and operation == NONE
            expect(
                operation in edge.operations or left_out,
                f"sample gave {operation!r} on edge {edge.name}, which offers {', '.join(edge.operations)}",
            )
            operations.add(operation)
        if all(set(edge.operations) <= operations for edge, operations in zip(space.edges, seen, strict=True)):
            return
    never = {edge.name: set(edge.operations) - operations for edge, operations in zip(space.edges, seen, strict=True)}
    expect(
        space.inputs_per_node is not None and all(missing <= {NONE} for missing in never.values()),
        f"in {MOST_DRAWN} samples some operations never came: { {k: sorted(v) for k, v in never.items() if v} }; "
        "make all equally likely",
    )


def enumeration_in_order(fixture: SpaceFixture) -> None:
    """`enumerate` goes through the product of the edges' operations, the last edge fastest; tables rely on it."""
    space = fixture.space
    try:
        architectures = list(itertools.islice(space.enumerate(), MOST_DRAWN))
    except UserError as error:
        raise NotApplicable(str(error)) from None
    expected = itertools.product(*(edge.operations for edge in space.edges))
    for number, (architecture, operations) in enumerate(zip(architectures, expected, strict=False)):
        expect(
            architecture.operations == operations,
            f"architecture {number} is {architecture.operations}, expected {operations}; oracles read the table as an "
            "array with one axis an edge",
        )
    size = math.prod(len(edge.operations) for edge in space.edges)
    if size <= MOST_COUNTED:
        count = sum(1 for _ in space.enumerate())
        expect(count == size, f"it enumerates {count} architectures, the product of its edges' operations has {size}")
    if hasattr(space, "at"):
        for number in range(0, len(architectures), max(1, len(architectures) // 50)):
            expect(
                space.at(number) == architectures[number],
                f"at({number}) is not the architecture that enumerate gives there",
            )


def canonical_once_is_enough(fixture: SpaceFixture) -> None:
    """The canonical form of an architecture is one of the space, and its own canonical form."""
    space = fixture.space
    for architecture in fixture.samples:
        once = space.canonical(architecture)
        expect(space.parse(space.format(once)) == once, f"canonical gave {once}, which is no architecture of the space")
        expect(
            space.canonical(once) == once,
            f"the canonical form of {space.format(architecture)} has another canonical form; return one representative "
            "a class",
        )


def canonical_is_the_same_function(fixture: SpaceFixture) -> None:
    """An architecture and its canonical form compute the same function when equal layers have equal parameters."""
    space, generator = fixture.space, numpy_generator("conformance", "canonical")
    drawn = (space.sample(generator) for _ in range(100))
    pairs = [(sample, canonical) for sample in drawn if (canonical := space.canonical(sample)) != sample][:4]
    if not pairs:
        raise NotApplicable("every sampled architecture is its own canonical form")
    for architecture, canonical in pairs:
        logits = []
        for variant in (architecture, canonical):
            network = fixture.network(variant)
            _give_parameters_by_shape(network)
            with torch.no_grad():
                logits.append(network(fixture.images))
        expect(
            torch.allclose(logits[0], logits[1], rtol=1e-3, atol=1e-4),
            f"{space.format(architecture)} and its canonical form {space.format(canonical)} compute different "
            "functions; group only architectures that are equal for all parameters",
        )


def _give_parameters_by_shape(network: nn.Module) -> None:
    """Give layers of the same shape the same parameters, so that exchanging two of them changes nothing."""
    # Norms already are the same function at initialisation: scale one, shift zero.
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for parameter in (tensor for layer in layers for tensor in layer.parameters()):
            drawn = torch.randn(parameter.shape, generator=torch_generator("by shape", *parameter.shape))
            parameter.copy_(drawn / math.sqrt(parameter[0].numel()))


def networks_by_seed(fixture: SpaceFixture) -> None:
    """Parameters are determined by the seed, and building networks leaves the global random states alone."""
    architecture = fixture.samples[0]
    builders: dict[str, Callable[[int], nn.Module]] = {
        "supernet": lambda seed: fixture.small.supernet(3, CLASSES, seed),
        "network": lambda seed: fixture.small.network(architecture, 3, CLASSES, seed),
    }
    for kind, build in builders.items():
        with leaving_random_state(f"building a {kind}"):
            first, again, other = (list(build(seed).state_dict().values()) for seed in (1, 1, 2))
        expect(same(first, again), f"one seed gave two {kind}s; seed every layer from the argument")
        expect(not same(first, other), f"two seeds gave the same {kind}; use the argument")


def logits_of_images(fixture: SpaceFixture) -> None:
    """Networks and supernets give finite logits, one row an image; a supernet passes gradients to its weights."""
    shape = (len(fixture.images), CLASSES)
    weights = (fixture.one_hot(fixture.samples[0]) * 0.5 + 0.1).requires_grad_()
    for kind, logits in (
        ("the supernet", fixture.supernet(fixture.images, weights)),
        ("a network", fixture.network(fixture.samples[0])(fixture.images)),
    ):
        expect(tuple(logits.shape) == shape, f"{kind} gave {tuple(logits.shape)}, expected {shape}")
        expect(bool(logits.isfinite().all()), f"{kind} gave logits that are not finite; check its initialisation")
    logits = fixture.supernet(fixture.images, weights)
    (gradient,) = torch.autograd.grad(logits.square().sum(), [weights], allow_unused=True)
    expect(
        gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any()),
        "no gradient reaches the weights, so DARTS cannot learn alpha; multiply every operation by its weight",
    )


def supernet_is_a_pure_function(fixture: SpaceFixture) -> None:
    """In evaluation mode a supernet answers the same again, changes nothing, and heeds nothing but its arguments."""
    weights = fixture.one_hot(fixture.samples[0])
    given, before = weights.clone(), [tensor.clone() for tensor in fixture.supernet.state_dict().values()]
    with leaving_random_state("a forward pass"), torch.no_grad():
        first = fixture.supernet(fixture.images, weights)
        fixture.supernet(fixture.images, fixture.one_hot(fixture.samples[1]))
        again = fixture.supernet(fixture.images, weights)
    expect(same(weights, given), "a forward pass changed the weights that it was given; clone what you change")
    expect(same(first, again), "the same images and weights gave other logits after a call with other weights")
    expect(same(before, list(fixture.supernet.state_dict().values())), "a forward pass changed parameters or buffers")


def zero_weights_cost_nothing(fixture: SpaceFixture) -> None:
    """An operation with weight zero is not computed: only what surrounds the operations runs under any weights."""
    edges = fixture.space.edges
    most = max(len(edge.operations) for edge in edges)

    def executed(weights: Tensor) -> set[str]:
        names: set[str] = set()
        hooks = [
            module.register_forward_hook(lambda *_, name=name: names.add(name))
            for name, module in fixture.supernet.named_modules()
            if not list(module.children())
        ]
        try:
            with torch.no_grad():
                fixture.supernet(fixture.images, weights)
        finally:
            for hook in hooks:
                hook.remove()
        return names

    always = executed(torch.zeros(len(edges), most))
    alone = []
    for column in range(most):
        weights = torch.zeros(len(edges), most)
        for number, edge in enumerate(edges):
            weights[number, column if column < len(edge.operations) else 0] = 1
        alone.append(executed(weights) - always)
    same_on_all = len({edge.operations for edge in edges}) == 1
    for one, other in itertools.combinations(range(most), 2):
        both = alone[one] & alone[other] if same_on_all else set()
        expect(
            not both,
            f"{sorted(both)[0] if both else ''} ran with all weight on operation {one} and with all of it on {other}; "
            "skip operations whose weight is zero",
        )
    everything = executed(torch.ones(len(edges), most)) - always
    expect(
        bool(everything) and all(len(component) < len(everything) for component in alone),
        "with all weights zero, or all weight on one operation an edge, as many layers ran as with all operations; "
        "skip operations whose weight is zero",
    )


def supernet_contains_the_networks(fixture: SpaceFixture) -> None:
    """Under one-hot weights a supernet equals the stand-alone network with the same parameters."""
    state = fixture.supernet.state_dict()
    for architecture in fixture.samples[:4]:
        network = fixture.network(architecture)
        own = network.state_dict()
        shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
        unknown = [name for name, value in own.items() if name not in shared and value.dim() > 1]
        if unknown:
            raise NotApplicable(
                f"network and supernet do not share the name of {unknown[0]}, so parameters cannot be copied"
            )
        network.load_state_dict(shared, strict=False)
        with torch.no_grad():
            alone = network(fixture.images)
            inside = fixture.supernet(fixture.images, fixture.one_hot(architecture))
        expect(
            torch.allclose(alone, inside, rtol=1e-4, atol=1e-5),
            f"under the weights of {fixture.space.format(architecture)} the supernet gives other logits than the "
            "network with the same parameters; a score of the one says nothing about the other",
        )


def resized_is_the_same_space(fixture: SpaceFixture) -> None:
    """Another size changes the networks and nothing else."""
    space = fixture.space
    expect(space.resized(None, None) == space, "resized(None, None) is not the same space; None leaves a size")
    expect(
        (fixture.small.name, fixture.small.edges) == (space.name, space.edges),
        "resized(4, 3) has another name or other edges; only networks change",
    )
    sizes = [
        sum(parameter.numel() for parameter in space.resized(channels, 3).supernet(3, CLASSES, 0).parameters())
        for channels in (4, 8)
    ]
    expect(sizes[0] < sizes[1], f"4 and 8 channels gave {sizes[0]} and {sizes[1]} parameters; use the argument")


SPACE_CHECKS: tuple[Callable[[SpaceFixture], None], ...] = (
    well_formed_edges,
    text_and_back,
    bad_text_is_refused,
    samples_are_architectures,
    enumeration_in_order,
    canonical_once_is_enough,
    canonical_is_the_same_function,
    networks_by_seed,
    logits_of_images,
    supernet_is_a_pure_function,
    zero_weights_cost_nothing,
    supernet_contains_the_networks,
    resized_is_the_same_space,
)
