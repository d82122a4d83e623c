"""Classical methods that a network is measured against: arrays in, a fitted model out, and no cohorts."""
