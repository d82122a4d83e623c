"""What decides a model's layers: its method and, of a network, its name, width and named ablations.

Nothing here needs torch: the card, the settings of a training and the builder all read the same fields.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model.methods.catalogue import MethodName

NetworkName = Literal["A", "B", "C", "D"]
RnnName = Literal["lstm", "gru"]
SpaceReading = Literal["flatten", "average", "bottleneck", "readout"]
TimeReading = Literal["mean", "last"]
BlockName = Literal["post_activation", "pre_activation"]
FeatureNorm = Literal["none", "batch"]


class Architecture(BaseModel):
    """The layers of one model; the defaults are the project's reading of the published text.

    Attributes
    ----------
    method : str
        Of `model.methods.catalogue`; every other field is about "network" alone. Written where it is not.
    network : "A", "B", "C" or "D"
    rnn : "lstm" or "gru"
    width : int
    space, bottleneck_channels, time, blocks, feature_norm, dropout, feature_dropout
        Ablations, each described by its field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = Field(
        default="network",
        description="System that is trained: a network of the eight, or another of docs/methods.md.",
        exclude_if=lambda method: method == "network",
    )
    network: NetworkName = Field(description="Residual network: one to four stages.")
    rnn: RnnName = Field(description="Recurrent layer that reads the frames in both directions.")
    width: int = Field(default=16, ge=1, le=256, description="Channels of the stem; each stage doubles them.")
    space: SpaceReading = Field(
        default="flatten",
        description=(
            "How a frame's last maps become features: every position kept, the average a channel, a 1x1x1 "
            "convolution to fewer channels before the flatten, or one learned weight map a channel."
        ),
    )
    bottleneck_channels: int = Field(
        default=8, ge=1, le=256, description='Channels before the flatten where `space` is "bottleneck".'
    )
    time: TimeReading = Field(
        default="mean",
        description="States of the recurrent layer that are classified: the mean over time, or the last.",
    )
    blocks: BlockName = Field(
        default="post_activation",
        description="Order in a residual block: normalisation and ReLU after, or before, each convolution.",
    )
    feature_norm: FeatureNorm = Field(
        default="none",
        description="Standardise each feature over the batch's frames before the recurrent layer.",
    )
    dropout: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="Share of the time-pooled states that training drops."
    )
    feature_dropout: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share of the frames' features that training drops before the recurrent layer.",
    )

    @property
    def system(self) -> str:
        """What it is called in names of folders and models, for example "C-lstm" or "ridge-connectivity"."""
        return f"{self.network}-{self.rnn}" if self.method == "network" else self.method
