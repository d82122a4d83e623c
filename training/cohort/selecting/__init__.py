"""Who of a cohort takes part, and who they are."""
