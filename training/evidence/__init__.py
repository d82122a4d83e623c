"""What may be believed of a run: figures with intervals, calibration, baselines, reports."""
