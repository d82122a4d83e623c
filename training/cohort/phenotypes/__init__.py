"""Phenotype tables: from cells in every source's own codes to subjects, and everything odd in between."""
