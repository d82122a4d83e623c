"""Where the simulator's brain networks lie and how they move together.

The 36 node coordinates (MNI, millimetres) are facts published in Raichle ME, "The restless brain", Brain
Connectivity 2011;1(1):3-12, figure 2 (doi:10.1089/brain.2011.0019).

What the ADHD group of a simulated cohort is given is a caricature of findings that recur in the literature: a
default mode network that is less coherent (Uddin et al. 2008, doi:10.1016/j.jneumeth.2007.11.031) and less
opposed to the networks of control and attention (Castellanos et al. 2008,
doi:10.1016/j.biopsych.2007.10.025; the default mode interference hypothesis of Sonuga-Barke and Castellanos
2007, doi:10.1016/j.neubiorev.2007.02.005). Its size is chosen for demonstration, not estimated from
anybody.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

NETWORKS = (
    "default_mode",
    "dorsal_attention",
    "executive_control",
    "salience",
    "somatomotor",
    "visual",
    "auditory",
)

_NODES_MM: dict[str, tuple[tuple[int, int, int], ...]] = {
    "default_mode": (
        (0, -52, 27),
        (-1, 54, 27),
        (-46, -66, 30),
        (49, -63, 33),
        (-61, -24, -9),
        (58, -24, -9),
        (0, -12, 9),
        (-25, -81, -33),
        (25, -81, -33),
    ),
    "dorsal_attention": (
        (-29, -9, 54),
        (29, -9, 54),
        (-26, -66, 48),
        (26, -66, 48),
        (-44, -39, 45),
        (41, -39, 45),
        (-50, -66, -6),
        (53, -63, -6),
    ),
    "executive_control": ((0, 24, 46), (-44, 45, 0), (44, 45, 0), (-50, -51, 45), (50, -51, 45)),
    "salience": (
        (0, 21, 36),
        (-35, 45, 30),
        (32, 45, 30),
        (-41, 3, 6),
        (41, 3, 6),
        (-62, -45, 30),
        (62, -45, 30),
    ),
    "somatomotor": ((-39, -26, 51), (38, -26, 48), (0, -21, 48)),
    "visual": ((-7, -83, 2), (7, -83, 2)),
    "auditory": ((-62, -30, 12), (59, -27, 15)),
}

NODE_MM = np.array([xyz for network in NETWORKS for xyz in _NODES_MM[network]], dtype=np.float64)
NODE_NETWORK = np.array([i for i, network in enumerate(NETWORKS) for _ in _NODES_MM[network]])

_DEFAULT_MODE = NETWORKS.index("default_mode")
_EXECUTIVE = NETWORKS.index("executive_control")
_SALIENCE = NETWORKS.index("salience")
_ATTENTION = NETWORKS.index("dorsal_attention")
_OPPOSED = [_ATTENTION, _EXECUTIVE, _SALIENCE]

_COHERENCE = 0.7
_COUPLING = np.array(
    # default, attention, executive, salience, motor, visual, auditory
    [
        [1.00, -0.40, -0.25, -0.30, 0.05, 0.05, 0.00],
        [-0.40, 1.00, 0.30, 0.20, 0.15, 0.20, 0.10],
        [-0.25, 0.30, 1.00, 0.30, 0.00, 0.00, 0.00],
        [-0.30, 0.20, 0.30, 1.00, 0.15, 0.05, 0.15],
        [0.05, 0.15, 0.00, 0.15, 1.00, 0.20, 0.30],
        [0.05, 0.20, 0.00, 0.05, 0.20, 1.00, 0.20],
        [0.00, 0.10, 0.00, 0.15, 0.30, 0.20, 1.00],
    ]
)

# What an effect size of 1 changes in the ADHD group. Nine weaker nodes against twelve stronger ones leave the
# sum of variances as it was: the scan's overall deviation, which preprocessing divides by, tells nothing.
_LOG_AMPLITUDE_CHANGE = {_DEFAULT_MODE: -1.00, _EXECUTIVE: 0.25, _SALIENCE: 0.25}
_COHERENCE_LOSS = 0.2
_OPPOSITION_LOSS = 0.8


@dataclass(frozen=True)
class NetworkTraits:
    """What a person's networks are like, before chance makes each person a little different.

    Attributes
    ----------
    log_amplitude : (7,) float64
        Added to the logarithm of each network's amplitude.
    coherence : (7,) float64
        Share of a node's variance that its whole network has in common, 0 to 1.
    coupling : (7, 7) float64
        Correlation of the networks' common time courses.
    """

    log_amplitude: Float64[np.ndarray, "7"]
    coherence: Float64[np.ndarray, "7"]
    coupling: Float64[np.ndarray, "7 7"]


def network_traits(*, effect: float) -> NetworkTraits:
    """Give the traits of controls (effect 0) or of the ADHD group (the cohort's effect size).

    Parameters
    ----------
    effect : float
        Not negative. At 1 hardly anybody is mistaken for the other group; the demonstration's is 0.5.

    Returns
    -------
    NetworkTraits
    """
    log_amplitude = np.zeros(len(NETWORKS))
    for network, change in _LOG_AMPLITUDE_CHANGE.items():
        log_amplitude[network] = effect * change
    coherence = np.full(len(NETWORKS), _COHERENCE)
    coherence[_DEFAULT_MODE] *= np.exp(-effect * _COHERENCE_LOSS / _COHERENCE)
    coupling = _COUPLING.copy()
    opposition = max(1 - effect * _OPPOSITION_LOSS, 0.0)
    coupling[_DEFAULT_MODE, _OPPOSED] *= opposition
    coupling[_OPPOSED, _DEFAULT_MODE] *= opposition
    return NetworkTraits(log_amplitude=log_amplitude, coherence=coherence, coupling=coupling)
