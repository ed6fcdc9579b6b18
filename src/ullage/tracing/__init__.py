"""What a pass takes, from the model's own code on fake tensors: shapes without data, on no device.

A model of the user's config, at its full size, runs the very code that a run will run, and every storage is
followed from its birth to its death. `passes.trace_pass` is the way in: a pass is what a `Work` says. Token
ids, masks and positions have values, states have none; layers that are alike run a few times and are said
again; kernels of cards stand for those of the processor where they take something else. A trace goes to
`memory` as an argument; this room plans nothing.
"""
