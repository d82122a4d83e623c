"""Real cohorts: from a download and its phenotype table to a compact store that trains without either."""
