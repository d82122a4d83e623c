"""Fitting one network to people: settings, batches, steps, when to stop, and a state that survives a kill."""
