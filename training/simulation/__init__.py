"""Cohorts that look like ADHD-200 to every program, with an effect of known size or none."""
