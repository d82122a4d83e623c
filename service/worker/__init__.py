"""The worker: takes a job from the database, runs the model on the scan, writes the result under its lease.

Importing this package loads neither torch nor the model; the process that runs jobs does when it starts.
"""
