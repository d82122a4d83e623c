"""Build a published network by its name."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from model.published.hong import HongTimeDistributed
from model.published.mao import Mao4DCNN
from model.published.niu import Niu3DCNNGRU
from model.published.packaged import PackagedBolT, PackagedMeanMLP
from model.published.sizes import at_least
from model.published.systems import describe
from model.published.zhang import SCCNNAttention
from model.published.zou import Zou3DCNN


@dataclass(frozen=True, kw_only=True)
class InputSizes:
    """How large an input is, in what its kind leaves open.

    Attributes
    ----------
    n_maps, n_structural : int
        Derived and structural maps, for the networks that read maps.
    n_regions : int
        For those that read regions.
    """

    n_maps: int = 0
    n_structural: int = 0
    n_regions: int = 0


def _with_structural(sizes: InputSizes) -> Zou3DCNN:
    at_least(1, n_maps=sizes.n_maps, n_structural=sizes.n_structural)
    return Zou3DCNN(n_maps=sizes.n_maps, n_structural=sizes.n_structural)


_BUILDERS: dict[str, Callable[[InputSizes], nn.Module]] = {
    "zou-3d-cnn": lambda sizes: Zou3DCNN(n_maps=sizes.n_maps, n_structural=sizes.n_structural),
    "zou-3d-cnn-t1w": _with_structural,
    "mao-4d-cnn-pooling": lambda _: Mao4DCNN(fusion="pooling"),
    "mao-4d-cnn-lstm": lambda _: Mao4DCNN(fusion="lstm"),
    "mao-4d-cnn-convolution": lambda _: Mao4DCNN(fusion="convolution"),
    "sc-cnn-attention": lambda sizes: SCCNNAttention(n_regions=sizes.n_regions),
    "niu-3d-cnn-gru": lambda _: Niu3DCNNGRU(),
    "hong-time-distributed": lambda _: HongTimeDistributed(),
    "mean-mlp": lambda sizes: PackagedMeanMLP(n_regions=sizes.n_regions),
    "bolt": lambda sizes: PackagedBolT(n_regions=sizes.n_regions),
}


def build_published(name: str, *, n_maps: int = 0, n_structural: int = 0, n_regions: int = 0) -> nn.Module:
    """Build a published network with its defaults and fresh weights from torch's global generator.

    Parameters
    ----------
    name : str
        One of `model.published.SYSTEMS`.
    n_maps, n_structural : int
        Maps of a scan; at least one derived map for a network that reads maps, and at least one structural
        map for one that reads tissues beside.
    n_regions : int
        Regions of a scan; at least one for a network that reads regions.

    Returns
    -------
    Module
        Its input (`describe(name).reads`) gives (W,) logits.

    Raises
    ------
    PublishedNetworkUnknownError
        If there is none of that name.
    MethodsNotInstalledError
        If it is of a package that is not installed.
    ValueError
        If a size that it needs is missing.
    """
    sizes = InputSizes(n_maps=n_maps, n_structural=n_structural, n_regions=n_regions)
    return _channels_together(_BUILDERS[describe(name).name](sizes))


def _channels_together(network: nn.Module) -> nn.Module:
    """Lay a place's channels beside each other: convolutions and pools take a processor half the time so."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            layout = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.weight.data = module.weight.data.to(memory_format=layout)
    return network
