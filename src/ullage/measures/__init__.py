"""Numbers about results: how well things are told apart, how far a probability can be believed, how far
judges agree, how uncertain an answer is, and what shape captured states have.

In: labels, scores, probabilities, log-probabilities, states as arrays. Out: numbers, with intervals where
they are estimates. Never torch, never a file, never a kind of workload: kinds, probes and captures ask.
"""
