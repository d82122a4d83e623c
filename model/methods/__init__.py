"""The systems that stand beside RestNet's own networks: what each is, and each as it is served.

A system is trained in `training.methods` and comes to a module here, one for each fold, whose tensors a
checkpoint holds like those of a network.
"""
