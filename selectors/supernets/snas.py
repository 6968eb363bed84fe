"""SNAS: every step trains a relaxed draw of one operation per edge."""

from pydantic import Field
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.gdas import GDAS
from opselect.selectors.supernets.relaxations import gumbel_noise, soft_gumbel
from opselect.selectors.supernets.settings import LOWEST_TEMPERATURE, Moment
from opselect.spaces.space import Weights


class SNAS(GDAS):
    """As GDAS with soft draws: all operations are computed, with random weights that become one-hot.

    SNAS trains weights and alpha together on all images; this is the bilevel form that is compared on NAS-Bench-201,
    with its temperatures (the code of DrNAS, 201-space/train_search.py). Without SNAS's resource constraint.

    Source: Xie et al., SNAS: Stochastic Neural Architecture Search, ICLR 2019, section 2.2.
    """

    last_temperature: float = Field(
        default=1.0, ge=LOWEST_TEMPERATURE, description="Temperature in the end, reached linearly."
    )

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        """Rows near to those of a drawn operation per open edge, `[edges, operations]`."""
        noise = gumbel_noise(alpha, moment.generator)
        return soft_gumbel(alpha, decisions, noise, self.temperature(moment))
