"""The pages of the registry: which models there are, what each one is, and which one answers."""
