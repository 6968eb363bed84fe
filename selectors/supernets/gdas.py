"""GDAS: every step trains one drawn operation per edge."""

from pydantic import Field
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.relaxations import gumbel_noise, hard_gumbel
from opselect.selectors.supernets.settings import LOWEST_TEMPERATURE, Moment, SupernetTraining
from opselect.spaces.space import Weights


class GDAS(SupernetTraining):
    """Every step draws one operation per edge by the softmax of alpha; alpha learns by the softmax behind the draw.

    Only drawn operations are computed, so a step costs less than one of DARTS. The gradient of alpha comes from the
    drawn operation alone, as in the published code for the DARTS space; that for NAS-Bench-201 adds, for every other
    operation, the summed gradient of the edge's output.

    Source: Dong and Yang, Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019, section 3.2; the
    temperatures are those of the published code.
    """

    first_temperature: float = Field(
        default=10.0, ge=LOWEST_TEMPERATURE, description="Temperature of the softmax at the start."
    )
    last_temperature: float = Field(
        default=0.1, ge=LOWEST_TEMPERATURE, description="Temperature in the end, reached linearly."
    )

    def temperature(self, moment: Moment) -> float:
        """Temperature of the softmax at a moment of the training."""
        return self.first_temperature + (self.last_temperature - self.first_temperature) * moment.progress

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        """One-hot rows with a drawn operation per open edge, `[edges, operations]`."""
        noise = gumbel_noise(alpha, moment.generator)
        return hard_gumbel(alpha, decisions, noise, self.temperature(moment))
