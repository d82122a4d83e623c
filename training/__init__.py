"""Cohorts, the training loop and the simulator. Nothing here is loaded by the web side."""

import model  # noqa: F401  (before torch: it says how torch's threads wait)
