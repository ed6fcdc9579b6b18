"""What a pass takes, from the model's own code on fake tensors: shapes without data, on no device.

A model of the user's config, at its full size, runs the very code that a run will run, and every storage is
followed from its birth to its death. A trace goes to `memory` as an argument; this room plans nothing.
"""
