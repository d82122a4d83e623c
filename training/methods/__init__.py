"""How each method is fitted to a fold's training people, and the numerics that no library has as needed.

Everything is fitted to training people alone, choices of penalties and features included; what comes out is
arrays that a checkpoint can hold and that answer for somebody else without them.
"""
