"""How each method is fitted to a fold's training people, and comes to a model that a checkpoint can hold."""
