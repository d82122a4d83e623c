"""SC-CNN-Attention of Zhang et al. (2020): each region's series convolved alone, then attention over regions.

Zhang, Li, Li, Peng, Kang, Jiang, Li, Zhu, Yao, Biswal, Xu: Separated Channel Attention Convolutional Neural
Network (SC-CNN-Attention) to Identify ADHD in Multi-Site Rs-fMRI Dataset. Entropy 22(8), 893 (2020),
doi:10.3390/e22080893.

Stated in the publication: a first stage that convolves the series of each region by itself, with kernels of 3
and 32, 64, 96 and 96 filters, a maximum over 2 after the first two, LeakyReLU, dropout of .3, .3, 0 and .3; a
second stage of additive attention with a sigmoid and 256 units, to find what depends on what among the
regions; 512 and 2 units.

Our reading: all regions share the first stage's weights; its convolutions are padded by 1, so that windows of
20 frames can be read; features are averaged over the time that is left, so that any length can; a region is
weighed beside the mean of all regions, and the weighted regions keep their places before the 512 units: a sum
over regions would forget which is which.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.published.sizes import at_least, enough_time
from model.published.two_units import difference_of_two
from model.shapes import Logits, RegionSeries, RegionWeights

FILTERS = (32, 64, 96, 96)
POOLED = (True, True, False, False)
ATTENTION_UNITS = 256
DENSE_UNITS = 512
# Both pools leave a time point of four.
MIN_TIME_POINTS = 4

RegionFeatures = Float[Tensor, "W R 96"]
"""What the convolutions say of each region."""


class SCCNNAttention(nn.Module):
    """Convolutions over time, shared by regions, and attention over regions.

    Parameters
    ----------
    n_regions : int
        At least 1.
    dropouts : tuple of 4 float
        Share that training drops after each convolution.

    Raises
    ------
    ValueError
        If there is no region.
    """

    def __init__(
        self, *, n_regions: int, dropouts: tuple[float, float, float, float] = (0.3, 0.3, 0.0, 0.3)
    ) -> None:
        super().__init__()
        at_least(1, n_regions=n_regions)
        # Over time alone, with the regions as columns of one image: one large convolution a scan takes less
        # time than a small one for each region.
        stages: list[nn.Module] = []
        n_in = 1
        for n_out, pooled, dropout in zip(FILTERS, POOLED, dropouts, strict=True):
            stages += [nn.Conv2d(n_in, n_out, (3, 1), padding=(1, 0)), nn.LeakyReLU()]
            stages += [nn.MaxPool2d((2, 1))] if pooled else []
            stages += [nn.Dropout(dropout)]
            n_in = n_out
        self.stages = nn.Sequential(*stages)
        self.of_region = nn.Linear(n_in, ATTENTION_UNITS)
        self.of_all = nn.Linear(n_in, ATTENTION_UNITS, bias=False)
        self.score = nn.Linear(ATTENTION_UNITS, 1)
        self.dense = nn.Linear(n_regions * n_in, DENSE_UNITS)
        self.activation = nn.LeakyReLU()
        self.head = nn.Linear(DENSE_UNITS, 2)

    def describe(self, series: RegionSeries) -> RegionFeatures:
        """Describe each region by its own series, (W, T, R) -> (W, R, 96).

        Raises
        ------
        TooFewTimePointsError
            If there are fewer than 4 time points.
        """
        enough_time(network="SCCNNAttention", expected=MIN_TIME_POINTS, found=series.shape[1])
        over_time = self.stages(series.unsqueeze(1))
        return over_time.mean(dim=2).transpose(1, 2)  # type: ignore[no-any-return]

    def weigh(self, features: RegionFeatures) -> RegionWeights:
        """Weigh each region between 0 and 1, by itself and the mean of all; weights have no fixed sum."""
        mean = features.mean(dim=1, keepdim=True)
        return torch.sigmoid(self.score(torch.tanh(self.of_region(features) + self.of_all(mean)))).squeeze(2)

    def forward(self, series: RegionSeries) -> Logits:
        """Give one logit for each scan's series, (W, T, R) -> (W,): the difference of the two units.

        Raises
        ------
        TooFewTimePointsError
            If there are fewer than 4 time points.
        """
        features = self.describe(series)
        weighted = features * self.weigh(features).unsqueeze(2)
        return difference_of_two(self.head(self.activation(self.dense(weighted.flatten(1)))))
