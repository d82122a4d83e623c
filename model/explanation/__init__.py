"""What of a scan drove the ensemble's logit: two maps on the network's cube, and where they peak.

A map says what this model computed from this scan. It says nothing about a brain beyond that: not that a
region is altered, and not that it is a cause (docs/science.md, "What a map can tell").
"""

from model.explanation.explaining import Explanation, ExplanationMethod, explain, require_explainable
from model.explanation.peaks import Peak, peaks
from model.explanation.template_image import in_template_space, to_template

__all__ = [
    "Explanation",
    "ExplanationMethod",
    "Peak",
    "explain",
    "in_template_space",
    "peaks",
    "require_explainable",
    "to_template",
]
