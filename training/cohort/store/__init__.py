"""A cohort as it is kept: series, subjects and where both came from."""
