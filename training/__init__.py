"""Cohorts, the training loop and the simulator. Nothing here is loaded by the web side."""
