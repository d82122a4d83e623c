"""Cohorts, the training loop and the simulator. Nothing here is loaded by the web side."""

import model  # noqa: F401  (before torch: it bounds how long torch's threads spin)
