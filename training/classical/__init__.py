"""Classical methods as functions of arrays: ridge, logistic regression, SVM, tangent space, multiple kernels.

Everything is fitted to training people alone, choices of penalties and features included; what comes out is
arrays that a checkpoint can hold and that answer for somebody else without them.
"""
