"""BolT's network computed on its weights, without copying the series once for every window that reads it.

As packaged, each window's surroundings (20, 68, 116 and 164 time points in the four layers, 8 apart) are cut
out before they are normalised and projected: every time point is projected up to twenty times. Here it is
projected once and the windows read slices. The numbers are the package's, to rounding; in training, dropout
draws other ones.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from model.shapes import RegionSeries


def fuse_windows(network: Any, series: RegionSeries) -> tuple[Float[Tensor, "W 2"], Float[Tensor, "W n R"]]:
    """Give what ``network(series)`` gives.

    Parameters
    ----------
    network : ml4fmri.models.BolT
    series : (W, T, R) float
        Of one window's length or more.

    Returns
    -------
    (W, 2) float
        Its two units.
    (W, n, R) float
        The class tokens of its n windows.
    """
    sizes = network.hyperParams
    n_windows = (series.shape[1] - sizes.windowSize) // network.shiftSize + 1
    tokens = network.clsToken.expand(len(series), n_windows, -1)
    for block in network.blocks:
        series, tokens = _fuse_block(block, series, tokens)
    tokens = network.encoder_postNorm(tokens)
    return network.classifierHead(tokens.mean(dim=1)), tokens


def _fuse_block(
    block: Any, series: RegionSeries, tokens: Float[Tensor, "W n R"]
) -> tuple[Float[Tensor, "W read R"], Float[Tensor, "W n R"]]:
    """Go through one layer: attention in windows, their mean where they overlap, and the perceptron."""
    layer = block.transformer
    read = block.windowSize + block.shiftSize * (tokens.shape[1] - 1)
    series = series[:, :read]
    attended = layer.attention.projDrop(layer.attention.proj(_attend(block, series, tokens)))
    tokens = tokens + attended[:, :, 0]
    series = series + layer.gatherWindows(attended[:, :, 1:], read, block.shiftSize)
    return series + layer.mlp(layer.mlp_norm(series)), tokens + layer.mlp(layer.mlp_norm(tokens))


def _attend(
    block: Any, series: RegionSeries, tokens: Float[Tensor, "W n R"]
) -> Float[Tensor, "W n asking width"]:
    """Let each window's token and time points read the token and the surroundings, in every head."""
    attention, margin = block.transformer.attention, block.remainder
    read = series.shape[1]
    # What comes before the series is masked in the package. What comes after it is not, and is read as zeros.
    padding = series.new_zeros(len(series), margin, series.shape[2])
    normed = block.transformer.attn_norm(torch.cat([series, padding, tokens], dim=1))
    query, key, value = (
        part.unflatten(2, (attention.numHeads, -1)).transpose(1, 2)
        for part in (attention.q(normed) * attention.scale, *attention.kv(normed).chunk(2, dim=2))
    )
    bias = _bias(attention)
    windows = []
    for window in range(tokens.shape[1]):
        first = block.shiftSize * window
        from_, to = max(first - margin, 0), first + block.windowSize + margin
        own = slice(read + margin + window, read + margin + window + 1)
        asking, keys, values = (
            torch.cat([part[:, :, own], part[:, :, begin:end]], dim=2)
            for part, begin, end in (
                (query, first, first + block.windowSize),
                (key, from_, to),
                (value, from_, to),
            )
        )
        logits = asking @ keys.transpose(2, 3)
        logits += torch.cat([bias[..., :1], bias[..., from_ - to :]], dim=3)
        windows.append(attention.attnDrop(attention.softmax(logits)) @ values)
    return torch.stack(windows, dim=1).transpose(2, 3).flatten(3)


def _bias(attention: Any) -> Float[Tensor, "1 heads asking answering"]:
    """Put together what is added to the logits: by distance in time, and to and from the class token."""
    by_distance = attention.relative_position_bias_table[attention.relative_position_index]
    token = torch.cat([attention.cls_bias_self, attention.cls_bias_sequence_up], dim=3)
    rest = torch.cat([attention.cls_bias_sequence_down, by_distance.permute(2, 0, 1)[None]], dim=3)
    return torch.cat([token, rest], dim=2)
