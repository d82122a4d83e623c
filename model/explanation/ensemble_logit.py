"""The ensemble's logit as one function that can be differentiated down to the voxel."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from model.folding import POOL, fold_encoders
from model.networks import RestNetwork
from model.shapes import Features, Frames, Logits, WindowBatch

Logit = Callable[[WindowBatch], Logits]

# What fits a processor's cache is several times faster than what does not.
_FRAMES_PER_CHUNK = 4


def ensemble_logit(members: Sequence[RestNetwork]) -> Logit:
    """Make the members' mean logit, as a function of the windows.

    The residual networks stand side by side as in inference (`model.folding`), but with a pool that hands the
    gradient to one voxel, as the networks themselves do; the maximum over copies of `model.joint_encoder`
    would share it among equals.

    Parameters
    ----------
    members : sequence of RestNetwork
        In evaluation mode, of one architecture, on one device.

    Returns
    -------
    callable
        ``(W, F, 34, 34, 34) -> (W,)``.
    """
    folded = fold_encoders([member.encoder for member in members])

    def encode(frames: Frames) -> Features:
        maps = functional.max_pool3d(folded.stem(frames), POOL).relu()
        for step in (*folded.stages, *folded.reading):
            maps = step(maps)
        return maps.reshape(len(frames), -1)

    def logit(windows: WindowBatch) -> Logits:
        frames = windows.flatten(0, 1).unsqueeze(1)
        chunks = [
            frames[first : first + _FRAMES_PER_CHUNK] for first in range(0, len(frames), _FRAMES_PER_CHUNK)
        ]
        features = torch.cat([encode(chunk) for chunk in chunks])
        own = features.reshape(*windows.shape[:2], len(members), -1).unbind(2)
        return torch.stack([member.read(x) for member, x in zip(members, own, strict=True)]).mean(dim=0)

    return logit
