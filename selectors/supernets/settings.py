"""The settings of supernet training."""

from pydantic import BaseModel, ConfigDict, Field


class SupernetTraining(BaseModel):
    """How a supernet is trained. The defaults are the papers' (DARTS, first order; REFERENCE values of both codes).

    One epoch passes once over the weights half, in full batches; the published code draws every batch independently
    instead, and calls as many batches an epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: int | None = Field(
        default=None, ge=1, description="of the first stage, where the trained supernets are not of the space's size"
    )
    cells: int | None = Field(default=None, ge=1, description="a stage, likewise")
    epochs: int = Field(default=100, ge=1, description="passes over the weights half")
    batch_size: int = Field(default=64, ge=2, description="images a step, for weights and for alpha")
    learning_rate: float = Field(default=0.025, gt=0, description="of SGD for the weights, at the start")
    final_learning_rate: float = Field(default=0.001, ge=0, description="of SGD, at the end of a half cosine")
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    gradient_clip: float = Field(default=5.0, gt=0, description="largest norm of the weights' gradient")
    alpha_learning_rate: float = Field(default=3e-4, gt=0, description="of Adam for alpha")
    alpha_weight_decay: float = Field(default=1e-3, ge=0)
    smoothing: float = Field(
        default=0.3, gt=0, lt=1, description="of SDARTS-RS: largest noise on a weight of an operation, at the end"
    )
    tuning_learning_rate: float = Field(default=0.0025, gt=0, description="of SGD between decisions, constant")
