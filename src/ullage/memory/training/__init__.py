"""What a training step takes: transformers' own statements on symbols, and torch's rules for what lives.

In come a layer, a pass, a precision and what is trained; out go bytes that are kept for the pass back, that
pass's largest moment, gradients and optimizer state. Nothing here holds a number, or knows a model's name.
"""
