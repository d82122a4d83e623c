"""What every method is, reads and needs; nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from model.published.systems import SYSTEMS

MethodName = Literal[
    "network",
    "ridge-connectivity",
    "logistic-connectivity",
    "tangent-logistic",
    "svm-reho",
    "svm-falff",
    "mkl",
    "mkl-t1w",
    "learned-regions",
    "learned-regions-mlp",
    "zou-3d-cnn",
    "zou-3d-cnn-t1w",
    "mao-4d-cnn-pooling",
    "mao-4d-cnn-lstm",
    "mao-4d-cnn-convolution",
    "sc-cnn-attention",
    "niu-3d-cnn-gru",
    "hong-time-distributed",
    "mean-mlp",
    "bolt",
]
"""How a method is called in settings, cards and folders; "network" is one of the eight."""

Reads = Literal["frames", "voxels", "regions", "maps", "tissues"]
"""Windows of whole frames; every voxel's series; the mean series of regions; maps of the whole scan; maps of
tissues, of a T1-weighted image of the same head."""

Tissue = Literal["grey_matter", "white_matter", "fluid"]
Feature = Literal["connectivity", "tangent", "alff", "falff", "falff_sd", "reho", "vmhc", "grey_matter"]
"""What a linear method puts a weight on: of pairs of regions, or a derived or tissue map's voxels."""

Kind = Literal[
    "the network itself",
    "as published",
    "our reading",
    "reconstruction",
    "what a statistician tries first",
    "RestNet's own",
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
    reads : tuple of "frames", "voxels", "regions", "maps" or "tissues"
        What reads tissues cannot be served: a scan to be classified does not bring them.
    features : tuple of str
        Of a linear method, in the order of its weights; empty for the others.
    maps : tuple of str
        Derived maps that a module reads, in their order; empty for the others.
    tissues : tuple of str
        Tissue maps that a module reads beside them, in their order; empty for the others.
    n_learned_regions : int
        That it finds in its training scans by itself, of every fold its own; 0 for the others.
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
    maps: tuple[Feature, ...] = ()
    tissues: tuple[Tissue, ...] = ()
    n_learned_regions: int = 0
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
    Method(
        name="svm-reho",
        title="SVM on ReHo",
        reads=("maps",),
        features=("reho",),
        learns_in_epochs=False,
        kind="what a statistician tries first",
        source="the classic of the field",
    ),
    Method(
        name="svm-falff",
        title="SVM on fALFF",
        reads=("maps",),
        features=("falff",),
        learns_in_epochs=False,
        kind="what a statistician tries first",
        source="the classic of the field",
    ),
    Method(
        name="mkl",
        title="Dai, multiple kernels (ReHo, connectivity)",
        reads=("maps", "regions"),
        features=("reho", "connectivity"),
        learns_in_epochs=False,
        kind="our reading",
        source="Dai et al. 2012, without the structural modality",
    ),
    Method(
        name="mkl-t1w",
        title="Dai, multiple kernels (ReHo, connectivity, grey matter)",
        reads=("maps", "regions", "tissues"),
        features=("reho", "connectivity", "grey_matter"),
        learns_in_epochs=False,
        kind="our reading",
        source="Dai et al. 2012, with grey matter for the structural modality",
    ),
    Method(
        name="learned-regions",
        title="Learned regions, correlation pooling",
        reads=("voxels",),
        features=("connectivity",),
        n_learned_regions=200,
        learns_in_epochs=False,
        kind="RestNet's own",
        source="RestNet's own",
    ),
    Method(
        name="learned-regions-mlp",
        title="Learned regions, perceptron by frame",
        reads=("voxels",),
        n_learned_regions=200,
        kind="RestNet's own",
        source="RestNet's own, after Popov et al. 2024",
    ),
)

_OF_PUBLISHED = tuple(
    Method(
        name=cast("MethodName", system.name),
        title=system.title,
        reads=(system.reads, "tissues") if system.with_tissues else (system.reads,),
        maps=("reho", "falff", "vmhc") if system.reads == "maps" else (),
        tissues=("grey_matter", "white_matter", "fluid") if system.with_tissues else (),
        kind=system.standing,
        source=system.citation.in_words,
    )
    for system in SYSTEMS
)

METHODS: Mapping[MethodName, Method] = MappingProxyType(
    {method.name: method for method in (*_ALL, *_OF_PUBLISHED)}
)
