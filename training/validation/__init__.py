"""Cross-validation: folds, the model of each, what is calibrated on inner parts, the ensemble, the run."""
