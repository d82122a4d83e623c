"""Fitting networks to a cohort: folds, settings, the loop, and runs that survive being killed."""
