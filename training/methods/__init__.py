"""How each method is fitted to a fold's training people, and the numbers behind it."""
