"""A clinician's word on a prediction: written once, kept beside the earlier ones, and counted.

:mod:`service.reviews.writing` adds one, :mod:`service.reviews.counting` puts an organisation's reviews beside
what the model said, :mod:`service.reviews.consenting` finds whose scans may be trained on. They go with their
scan (:mod:`service.retention`), but for a refusal, which :mod:`service.reviews.refusals` hands to the
person's other scans. Nothing here knows of HTTP.
"""

from service.reviews.consenting import Consented, ConsentedPerson, consented_people
from service.reviews.counting import ReviewCounts, count_reviews
from service.reviews.people import lock_person
from service.reviews.refusals import hand_over
from service.reviews.words import AGREES_WITH, REASON_MAX_LENGTH, Diagnosis, OwnDecision, Verdict
from service.reviews.writing import OverrideAgreesError, review_prediction

__all__ = [
    "AGREES_WITH",
    "REASON_MAX_LENGTH",
    "Consented",
    "ConsentedPerson",
    "Diagnosis",
    "OverrideAgreesError",
    "OwnDecision",
    "ReviewCounts",
    "Verdict",
    "consented_people",
    "count_reviews",
    "hand_over",
    "lock_person",
    "review_prediction",
]
