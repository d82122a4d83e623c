"""What every method is, reads and needs; nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

MethodName = Literal[
    "network",
    "ridge-connectivity",
    "logistic-connectivity",
    "tangent-logistic",
]
"""How a method is called in settings, cards and folders; "network" is one of the eight."""

Reads = Literal["frames", "regions", "maps"]
"""Windows of whole frames; the mean series of regions; maps derived from the whole scan."""

Feature = Literal["connectivity", "tangent", "reho", "falff"]
"""What a linear method puts a weight on."""

Kind = Literal[
    "the network itself",
    "as published",
    "our reading",
    "reconstruction",
    "what a statistician tries first",
]
"""How much of it is its authors': all, what they state with the rest read by us, or one sentence."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A system that can be trained on a cohort.

    Attributes
    ----------
    name : str
        Of `MethodName`.
    title : str
        For people, in a table.
    reads : tuple of "frames", "regions" or "maps"
    features : tuple of str
        Of a linear method, in the order of its weights; empty for the others.
    learns_in_epochs : bool
        Whether it is fitted by steps that an inner part can stop; the others are solved at once.
    kind : str
        Of `Kind`, for a table of several.
    source : str
        Where it comes from.
    """

    name: MethodName
    title: str
    reads: tuple[Reads, ...]
    features: tuple[Feature, ...] = ()
    learns_in_epochs: bool = True
    kind: Kind
    source: str

    @property
    def is_linear(self) -> bool:
        """Whether it comes to one weight a feature."""
        return bool(self.features)


_ALL = (
    Method(
        name="network",
        title="3D-ResNet and recurrent layer",
        reads=("frames",),
        kind="the network itself",
        source="the published system, as read in docs/model-card.md",
    ),
    Method(
        name="ridge-connectivity",
        title="Ridge on connectivity",
        reads=("regions",),
        features=("connectivity",),
        learns_in_epochs=False,
        kind="what a statistician tries first",
        source="the classic of the field",
    ),
    Method(
        name="logistic-connectivity",
        title="Logistic regression on connectivity",
        reads=("regions",),
        features=("connectivity",),
        learns_in_epochs=False,
        kind="what a statistician tries first",
        source="the classic of the field",
    ),
    Method(
        name="tangent-logistic",
        title="Logistic regression on tangent-space connectivity",
        reads=("regions",),
        features=("tangent",),
        learns_in_epochs=False,
        kind="what a statistician tries first",
        source="Varoquaux et al. 2010, the best of the pipelines that Dadi et al. 2019 compared",
    ),
)

METHODS: Mapping[MethodName, Method] = MappingProxyType({method.name: method for method in _ALL})
