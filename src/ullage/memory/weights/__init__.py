"""Bytes of weights: which tensors there are, how a precision stores them, and what loading them takes."""
