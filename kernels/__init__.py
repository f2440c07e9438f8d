"""Tensors in, tensors out: the operations the models are made of, each with a definition and a fast version."""

__version__ = "0.1.0"
"""The distribution's version. Another published package is called `kernels`; libraries looking for it read this."""
