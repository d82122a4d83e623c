"""Two recent networks of the package ``ml4fmri`` (MIT; the extra ``methods``) behind our interface.

meanMLP: Popov, Mahmood, Fu, Yang, Calhoun, Plis: A simple but tough-to-beat baseline for fMRI time-series
classification. NeuroImage 303, 120909 (2024), doi:10.1016/j.neuroimage.2024.120909. Every time point goes
through one small perceptron alone; its answers are averaged.

BolT: Bedel, Sivgin, Dalmaz, Dar, Cukur: BolT: Fused window transformers for fMRI time series analysis.
Medical Image Analysis 88, 102841 (2023), doi:10.1016/j.media.2023.102841. Four layers of attention inside
windows of 20 time points, 8 apart, with wider surroundings at each layer. What follows the last window is
read as zeros by those near it, where what precedes the first is masked: so it is in the package.

Layers, sizes and starts are the package's own. Ours: BolT is computed without its copies of every window's
surroundings; the logit is the difference of its two units; what it
keeps beside weights (positions and masks, which follow from the sizes) is left out of the weights. The
package is imported here alone, and only when one of these is built.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from model.errors import MethodsNotInstalledError
from model.published.bolt_windows import fuse_windows
from model.published.sizes import at_least, enough_time
from model.published.two_units import difference_of_two
from model.shapes import Logits, RegionSeries

PACKAGE = "ml4fmri"
BOLT_WINDOW = 20


class PackagedMeanMLP(nn.Module):
    """meanMLP: series of any length.

    Parameters
    ----------
    n_regions : int
        At least 1.

    Raises
    ------
    MethodsNotInstalledError
        If the package is not installed.
    ValueError
        If there is no region.
    """

    def __init__(self, *, n_regions: int) -> None:
        super().__init__()
        at_least(1, n_regions=n_regions)
        self.network = _packaged("meanMLP", n_regions=n_regions)

    def forward(self, series: RegionSeries) -> Logits:
        """Give one logit for each scan's series, (W, T, R) -> (W,)."""
        return difference_of_two(self.network(series)[0])


class PackagedBolT(nn.Module):
    """BolT: series of 20 time points or more.

    Windows start every 8 time points; what follows the last whole window, up to 7 time points, is not read.

    Parameters
    ----------
    n_regions : int
        At least 1.

    Raises
    ------
    MethodsNotInstalledError
        If the package is not installed.
    ValueError
        If there is no region.
    """

    def __init__(self, *, n_regions: int) -> None:
        super().__init__()
        at_least(1, n_regions=n_regions)
        self.network = _packaged("BolT", n_regions=n_regions)
        _keep_out_of_the_weights(self.network)

    def forward(self, series: RegionSeries) -> Logits:
        """Give one logit for each scan's series, (W, T, R) -> (W,).

        Raises
        ------
        TooFewTimePointsError
            If there are fewer than 20 time points.
        """
        return self.logits_and_disagreement(series)[0]

    def logits_and_disagreement(self, series: RegionSeries) -> tuple[Logits, Float[Tensor, ""]]:
        """Give the logits, and how far the windows of a scan disagree, which the published loss adds.

        Returns
        -------
        (W,) float
        () float
            Mean squared distance of the windows' class tokens from their mean; 0 for a single window.

        Raises
        ------
        TooFewTimePointsError
            If there are fewer than 20 time points.
        """
        enough_time(network="BolT", expected=BOLT_WINDOW, found=series.shape[1])
        units, tokens = fuse_windows(self.network, series)
        return difference_of_two(units), (tokens - tokens.mean(dim=1, keepdim=True)).square().mean()


def _packaged(name: str, *, n_regions: int) -> Any:
    try:
        # Two seconds to import, with matplotlib and pandas, for those only who compare.
        from ml4fmri import models  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MethodsNotInstalledError(package=PACKAGE) from error
    return getattr(models, name)(input_size=n_regions, output_size=2)


def _keep_out_of_the_weights(network: nn.Module) -> None:
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, buffer, persistent=False)
