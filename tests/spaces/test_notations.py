"""An architecture is the same one in whatever form it is given."""

import pytest

from opselect.spaces.darts.genotypes import format_genotype, library
from opselect.spaces.darts.space import darts
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.notations import read_architecture
from opselect.spaces.space import Architecture, InvalidArchitecture


def test_every_form_of_a_cell_is_the_same_architecture() -> None:
    architecture = digits201.at(9504)
    forms = (architecture, digits201.format(architecture), architecture.operations, list(architecture.operations))
    assert {read_architecture(form, digits201) for form in forms} == {architecture}


def test_every_form_of_a_genotype_is_the_same_architecture() -> None:
    genotype = library()["DARTS_V2"].genotype
    architecture = darts.architecture(genotype)
    forms = ("DARTS_V2", genotype, format_genotype(genotype), architecture, architecture.operations)
    assert {read_architecture(form, darts) for form in forms} == {architecture}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nonsense", "arch string 'nonsense': 1 node"),
        (Architecture(("none",)), "architecture with 1 operations, expected one for each of the 6 edges"),
        (("conv",) * 6, "edge 0→1: unknown operation 'conv', expected one of none, skip_connect"),
        (library()["DARTS_V2"].genotype, "a genotype, but digits201 has none"),
    ],
)
def test_what_is_no_architecture_of_the_space_is_refused(given: object, message: str) -> None:
    with pytest.raises(InvalidArchitecture, match=message):
        read_architecture(given, digits201)  # type: ignore[arg-type]
