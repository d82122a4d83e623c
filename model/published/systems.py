"""Which published networks there are, where each comes from and what it reads."""

from dataclasses import dataclass
from typing import Literal

from model.errors import PublishedNetworkUnknownError

InputKind = Literal["frames", "maps", "regions"]
Standing = Literal["as published", "our reading", "reconstruction"]


@dataclass(frozen=True, kw_only=True)
class Citation:
    """Where a network was published; None where we do not know.

    Attributes
    ----------
    authors : str
    year : int or None
    title, venue, doi : str or None
    """

    authors: str
    year: int | None = None
    title: str | None = None
    venue: str | None = None
    doi: str | None = None

    @property
    def in_words(self) -> str:
        """The citation in one line, as far as it is known."""
        year = None if self.year is None else str(self.year)
        doi = None if self.doi is None else f"doi:{self.doi}"
        return ", ".join(part for part in (self.authors, year, self.venue, doi) if part)


@dataclass(frozen=True, kw_only=True)
class PublishedNetwork:
    """One network, without its layers.

    Attributes
    ----------
    name : str
        What it is called here, on command lines and in files.
    title : str
        What it is called where people read.
    reads : "frames", "maps" or "regions"
        Windows (W, F, 34, 34, 34), derived maps (W, K, 34, 34, 34) or regions' series (W, T, R).
    standing : "as published", "our reading" or "reconstruction"
        The package's own; layers stated in part, the rest read by us; or built from a sentence about it.
    with_tissues : bool
        Whether it reads tissue maps (W, S, 68, 68, 68) beside.
    min_time_points : int
        Fewest frames or time points; 1 for maps, which have none.
    packaged : bool
        Whether it needs the extra ``methods``.
    citation : Citation
    """

    name: str
    title: str
    reads: InputKind
    standing: Standing
    with_tissues: bool = False
    min_time_points: int = 1
    packaged: bool = False
    citation: Citation


_MAO = Citation(
    authors="Mao, Su, Xu, Wang, Huang, Yue, Sun, Xiong",
    year=2019,
    title="Spatio-temporal deep learning method for ADHD fMRI classification",
    venue="Information Sciences",
    doi="10.1016/j.ins.2019.05.043",
)

_ZOU = Citation(
    authors="Zou, Zheng, Miao, McKeown, Wang",
    year=2017,
    title=(
        "3D CNN Based Automatic Diagnosis of Attention Deficit Hyperactivity Disorder Using "
        "Functional and Structural MRI"
    ),
    venue="IEEE Access",
    doi="10.1109/ACCESS.2017.2762703",
)

SYSTEMS: tuple[PublishedNetwork, ...] = (
    PublishedNetwork(
        name="zou-3d-cnn",
        title="Zou, 3D-CNN",
        reads="maps",
        standing="our reading",
        citation=_ZOU,
    ),
    PublishedNetwork(
        name="zou-3d-cnn-t1w",
        title="Zou, 3D-CNN with tissue maps",
        reads="maps",
        with_tissues=True,
        standing="our reading",
        citation=_ZOU,
    ),
    PublishedNetwork(
        name="mao-4d-cnn-pooling",
        title="Mao, 4D-CNN with feature pooling",
        reads="frames",
        standing="our reading",
        citation=_MAO,
    ),
    PublishedNetwork(
        name="mao-4d-cnn-lstm",
        title="Mao, 4D-CNN with LSTM",
        reads="frames",
        standing="our reading",
        citation=_MAO,
    ),
    PublishedNetwork(
        name="mao-4d-cnn-convolution",
        title="Mao, 4D-CNN with spatio-temporal convolution",
        reads="frames",
        standing="our reading",
        min_time_points=3,
        citation=_MAO,
    ),
    PublishedNetwork(
        name="sc-cnn-attention",
        title="Zhang, SC-CNN-Attention",
        reads="regions",
        standing="our reading",
        min_time_points=4,
        citation=Citation(
            authors="Zhang, Li, Li, Peng, Kang, Jiang, Li, Zhu, Yao, Biswal, Xu",
            year=2020,
            title=(
                "Separated Channel Attention Convolutional Neural Network (SC-CNN-Attention) to Identify "
                "ADHD in Multi-Site Rs-fMRI Dataset"
            ),
            venue="Entropy",
            doi="10.3390/e22080893",
        ),
    ),
    PublishedNetwork(
        name="niu-3d-cnn-gru",
        title="Niu, 3D-CNN + GRU",
        reads="frames",
        standing="reconstruction",
        citation=Citation(authors="Niu and others"),
    ),
    PublishedNetwork(
        name="hong-time-distributed",
        title="Hong, 3D-CNN by frame + LSTM",
        reads="frames",
        standing="reconstruction",
        citation=Citation(authors="Hong and others"),
    ),
    PublishedNetwork(
        name="mean-mlp",
        title="meanMLP",
        reads="regions",
        standing="as published",
        packaged=True,
        citation=Citation(
            authors="Popov, Mahmood, Fu, Yang, Calhoun, Plis",
            year=2024,
            title="A simple but tough-to-beat baseline for fMRI time-series classification",
            venue="NeuroImage",
            doi="10.1016/j.neuroimage.2024.120909",
        ),
    ),
    PublishedNetwork(
        name="bolt",
        title="BolT",
        reads="regions",
        standing="as published",
        min_time_points=20,
        packaged=True,
        citation=Citation(
            authors="Bedel, Sivgin, Dalmaz, Dar, Cukur",
            year=2023,
            title="BolT: Fused window transformers for fMRI time series analysis",
            venue="Medical Image Analysis",
            doi="10.1016/j.media.2023.102841",
        ),
    ),
)


def describe(name: str) -> PublishedNetwork:
    """Say what a published network is.

    Raises
    ------
    PublishedNetworkUnknownError
        If there is none of that name.
    """
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise PublishedNetworkUnknownError(expected=tuple(system.name for system in SYSTEMS), found=name)
