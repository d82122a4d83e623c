"""The pages about training: the list of runs, the form that asks for some, and one run."""
