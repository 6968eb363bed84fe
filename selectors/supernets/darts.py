"""DARTS: weights and architecture parameters in turn."""

from opselect.selectors.supernets.settings import SupernetTraining


class DARTS(SupernetTraining):
    """First-order DARTS: a step of alpha on the search-validation split, a step of the weights on the train split.

    Source: Liu et al., DARTS, ICLR 2019, algorithm 1 with xi = 0.
    """
