"""A challenger beside the model in use: both on the same locked people, and whether it may take its place."""
