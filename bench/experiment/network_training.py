"""Settings of the training of selected networks."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NetworkTraining(BaseModel):
    """Settings of the training of a stand-alone network. The defaults are the papers' on CIFAR (DARTS, section 3.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=600, ge=1, description="Passes over the training images.")
    batch_size: int = Field(default=96, ge=2, description="Images per step; the last step of an epoch may have fewer.")
    learning_rate: float = Field(
        default=0.025, gt=0, description="Learning rate of SGD at the start; it falls to zero along a half cosine."
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(default=3e-4, ge=0, description="Weight decay of SGD.")
    gradient_clip: float = Field(default=5.0, gt=0, description="Largest norm of the gradient.")
    auxiliary_weight: float = Field(
        default=0.4, ge=0, description="Weight of the auxiliary classifier's loss; 0 for no auxiliary classifier."
    )
    drop_path: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Probability of dropping a path after the last epoch, growing from 0.",
    )
    cutout: int = Field(default=16, ge=0, description="Side of the square that is cut out, in pixels; 0 for none.")
    crop_padding: int = Field(default=4, ge=0, description="Padding for random crops, in pixels; 0 for no crops.")
    flip: bool = Field(default=True, description="Whether training mirrors images at random.")
    crop_fill: Literal["black", "zero"] = Field(
        default="black", description="Padding of the crops: black, as before normalisation, or zero, as after it."
    )
