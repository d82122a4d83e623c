"""Whether the scans of late are like those that a model was judged on, and whether its answers still hold.

The statistics know no database: :mod:`service.drift.statistics`, :mod:`service.drift.reference`,
:mod:`service.drift.judging`, :mod:`service.drift.outcomes`. What needs numpy is imported where it is used, by
the worker and the command line: the web side reads what they found as JSON.
"""
