"""Settings of the training of selected networks."""

from pydantic import BaseModel, ConfigDict, Field


class NetworkTraining(BaseModel):
    """How a stand-alone network is trained. The defaults are the papers' on CIFAR (DARTS, section 3.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=600, ge=1, description="passes over the training images")
    batch_size: int = Field(default=96, ge=2, description="images a step; the last step of an epoch may have fewer")
    learning_rate: float = Field(default=0.025, gt=0, description="of SGD at the start; a half cosine leads to zero")
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    gradient_clip: float = Field(default=5.0, gt=0, description="largest norm of the gradient")
    auxiliary_weight: float = Field(default=0.4, ge=0, description="of the auxiliary classifier's loss; 0 for none")
    drop_path: float = Field(default=0.2, ge=0, lt=1, description="probability after the last epoch, growing linearly")
    cutout: int = Field(default=16, ge=0, description="side of the square that is cut out, in pixels; 0 for none")
    crop_padding: int = Field(default=4, ge=0, description="of the random crops, in pixels; 0 for none")
    flip: bool = Field(default=True, description="whether training mirrors images at random")
