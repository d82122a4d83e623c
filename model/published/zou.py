"""The 3D CNN of Zou et al. (2017) over derived maps, with a second branch for structural maps.

Zou, Zheng, Miao, McKeown, Wang: 3D CNN Based Automatic Diagnosis of Attention Deficit Hyperactivity Disorder
Using Functional and Structural MRI. IEEE Access 5 (2017), doi:10.1109/ACCESS.2017.2762703.

Stated in the publication, as far as others account for it: one map of a subject (ReHo, fALFF or VMHC; density
of grey matter, white matter or CSF) standardised over its voxels; a pool of 2^3 first, of 4^3 where the map
is structural, whose grid was about twice as fine; 32 filters of 5^3 and another pool; three times 64 of 3^3;
512 and 2 fully connected units; batch normalisation after each of them but the last, ReLU, dropout of one
half, Glorot's uniform start; for both kinds of map two branches, joined before the last layer.

Our reading: several maps of a kind are channels of one branch; the pools take the maximum; the first
convolution is unpadded, the later ones are padded by 1, as on our smaller grid three unpadded ones would
leave nothing; structural maps lie on a grid of 68^3 voxels, twice as fine as the frames'; dropout acts before
either fully connected layer. Where batch normalisation follows there is no bias: it would take that away.
"""

from torch import cat, nn

from model.published.sizes import at_least
from model.published.two_units import difference_of_two
from model.shapes import DerivedMaps, Logits, StructuralMaps

DENSE_UNITS = 512
FILTERS = 64
# 34 (68) -> pool 17 -> unpadded 5^3 13 -> pool 6, which the padded convolutions keep.
LAST_EDGE = 6
FUNCTIONAL_POOL = 2
STRUCTURAL_POOL = 4


class Zou3DCNN(nn.Module):
    """A CNN over derived maps, and over structural ones beside them.

    Parameters
    ----------
    n_maps : int
        Derived maps a scan, at least 1.
    n_structural : int
        Structural maps; 0: there is no second branch.
    dropout : float
        Share that training drops before either fully connected layer.

    Raises
    ------
    ValueError
        If a number of maps is too small.
    """

    def __init__(self, *, n_maps: int, n_structural: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        at_least(1, n_maps=n_maps)
        at_least(0, n_structural=n_structural)
        self.functional = _branch(n_maps, pool=FUNCTIONAL_POOL, dropout=dropout)
        self.structural: nn.Sequential | None = None
        if n_structural:
            self.structural = _branch(n_structural, pool=STRUCTURAL_POOL, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(DENSE_UNITS * (1 if self.structural is None else 2), 2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, maps: DerivedMaps, structural: StructuralMaps | None = None) -> Logits:
        """Give one logit for each scan: the difference of the two units.

        Parameters
        ----------
        maps : (W, K, 34, 34, 34) float
            Standardised over each subject's voxels.
        structural : (W, S, 68, 68, 68) float or None
            The same people's, where the network has a branch for them.

        Returns
        -------
        (W,) float

        Raises
        ------
        ValueError
            If structural maps are missing, or given to a network without a branch for them.
        """
        if (structural is None) != (self.structural is None):
            raise ValueError(
                f"expected {'no structural maps' if self.structural is None else 'structural maps'}, "
                f"found {'none' if structural is None else 'some'}"
            )
        features = [self.functional(maps)]
        if self.structural is not None:
            features.append(self.structural(structural))
        return difference_of_two(self.head(self.dropout(cat(features, dim=1))))


def _branch(n_maps: int, *, pool: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.MaxPool3d(pool),
        *_convolution(n_maps, 32, edge=5, padding=0),
        nn.MaxPool3d(2),
        *_convolution(32, FILTERS, edge=3, padding=1),
        *_convolution(FILTERS, FILTERS, edge=3, padding=1),
        *_convolution(FILTERS, FILTERS, edge=3, padding=1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(FILTERS * LAST_EDGE**3, DENSE_UNITS, bias=False),
        nn.BatchNorm1d(DENSE_UNITS),
        nn.ReLU(),
    )


def _convolution(n_in: int, n_out: int, *, edge: int, padding: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv3d(n_in, n_out, edge, padding=padding, bias=False)
    return convolution, nn.BatchNorm3d(n_out), nn.ReLU()
