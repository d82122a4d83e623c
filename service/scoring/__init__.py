"""Scores: what another version says of scans that were answered, in shadow or over earlier ones.

A score is a job beside predictions, in a table of its own: no answer, list or report has it. Who is in shadow
is the registry's (:mod:`service.registry.shadowing`); batches are begun in :mod:`service.scoring.batches`, a
worker's part is :mod:`service.scoring.queueing`, and what would have changed is computed in
:mod:`service.scoring.figures` from what :mod:`service.scoring.pairs` reads. Nothing here knows of HTTP.
"""

from service.scoring.batches import (
    Extent,
    Standing,
    begin_rescore,
    cancel_rescore,
    count_answered,
    require_rescore,
    shadow_standing,
    standings,
)
from service.scoring.errors import (
    NothingToRescoreError,
    RescoreNotFoundError,
    RescoreOverError,
    RescoreRunningError,
)
from service.scoring.figures import Figures, compare
from service.scoring.pairs import count_changed, decided_otherwise, pairs_of, scored_for
from service.scoring.queueing import (
    advance_rescore,
    close_unwanted,
    queue_missed_shadow_scores,
    queue_shadow_score,
    running_rescores,
)

__all__ = [
    "Extent",
    "Figures",
    "NothingToRescoreError",
    "RescoreNotFoundError",
    "RescoreOverError",
    "RescoreRunningError",
    "Standing",
    "advance_rescore",
    "begin_rescore",
    "cancel_rescore",
    "close_unwanted",
    "compare",
    "count_answered",
    "count_changed",
    "decided_otherwise",
    "pairs_of",
    "queue_missed_shadow_scores",
    "queue_shadow_score",
    "require_rescore",
    "running_rescores",
    "scored_for",
    "shadow_standing",
    "standings",
]
