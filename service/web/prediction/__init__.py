"""The page of one prediction: how good the scan is, what the model says of it, and what was said of that."""
