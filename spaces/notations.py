"""The forms in which users give an architecture, read into the one that everything else takes."""

from collections.abc import Sequence
from typing import TypeAlias

from opselect.spaces.darts.genotypes import Genotype, library
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.space import Architecture, InvalidArchitecture, SearchSpace

AnyArchitecture: TypeAlias = Architecture | Genotype | str | Sequence[str]
"""An architecture, a genotype, text in the space's notation, a published genotype's name, or an operation per edge."""


def read_architecture(given: AnyArchitecture, space: SearchSpace) -> Architecture:
    """The architecture of a space that is given in any of its forms.

    Args:
        given: An architecture; a genotype of a DARTS space; a text, in the notation of the space or the name of a
            published genotype; or the names of its operations, in the order of the edges.
        space: Search space of the architecture.

    Raises:
        InvalidArchitecture: What is given describes no architecture of the space.

    Example:
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> architecture = read_architecture(text, digits201)
        >>> read_architecture(architecture.operations, digits201) == architecture
        True
    """
    if isinstance(given, str):
        if isinstance(space, DARTSSpace) and given in library():
            return space.architecture(library()[given].genotype)
        return space.parse(given)
    if isinstance(given, Genotype):
        if not isinstance(space, DARTSSpace):
            raise InvalidArchitecture(
                f"a genotype, but {space.name} has none; expected an architecture in its notation"
            )
        return space.architecture(given)
    if isinstance(given, Architecture):
        architecture = given
    elif isinstance(given, Sequence) and all(isinstance(name, str) for name in given):
        architecture = Architecture(tuple(given))
    else:
        raise InvalidArchitecture(
            f"{type(given).__name__} is no form of an architecture; expected an Architecture, its text in the notation "
            f"of {space.name}, a Genotype, or the name of the operation on each of its {len(space.edges)} edges"
        )
    space.format(architecture)  # which raises what is wrong with it
    return architecture
