"""The numbers that rules of a comparison hold to, read from what each says, in the language of the page."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from service.api.model_payloads import RuleResponse
from service.web.language import _, marked

_NOT_WORSE = (
    re.compile(r"difference to the champion's above (?P<limit>-[\d.]+)$"),
    marked("all of it above %(limit)s"),
)
# By rule: where its numbers stand in its own sentence (`training.challenge.rules`), and our words for them.
_LIMITS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "auc_not_worse": _NOT_WORSE,
        "sensitivity_not_worse": _NOT_WORSE,
        "calibrated": (
            re.compile(r"error of at most (?P<limit>[\d.]+),"),
            marked("a calibration error of at most %(limit)s"),
        ),
        "coverage_kept": (
            re.compile(r"the diagnosis of (?P<promised>\d+%) of people"),
            marked("%(promised)s of people, less what chance allows"),
        ),
        "decides_enough": (
            re.compile(r"uncertain answers to the champion's below (?P<limit>\+[\d.]+)$"),
            marked("all of it below %(limit)s"),
        ),
        "backends_agree": (
            re.compile(r"within (?P<limit>[\d.e-]+) of the networks' own"),
            marked("logits within %(limit)s"),
        ),
        "fast_enough": (
            re.compile(r"at most (?P<times>[\d.]+) times the champion's (?P<seconds>[\d.]+) s"),
            marked("at most %(times)s times its %(seconds)s s"),
        ),
    }
)
# Of these the rule names fields with their values, as programs know them.
_FIELDS = frozenset({"same_preprocessing"})


def limit_of(rule: RuleResponse) -> str:
    """Say what number a rule holds to; empty for a rule without one.

    What is not written as expected, by another version perhaps, is given as it is.
    """
    if rule.name in _FIELDS:
        return rule.expected
    if rule.name not in _LIMITS:
        return ""
    numbers, words = _LIMITS[rule.name]
    found = numbers.search(rule.expected)
    return rule.expected if found is None else _(words, **found.groupdict())
