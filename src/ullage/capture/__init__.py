"""Reads tensors from named points (sites) of a running model: whole passes, chunked ones, generation.

In: a loaded model, captures, and whoever runs it. Out: states aligned with their tokens, kept in memory or in
a store. It plans nothing and loads nothing.
"""
