"""Probes: directions read from a model's states, fitted exactly from stored ones or brought along.

In: stored states and labelled dialogues, or somebody else's probe. Out: a probe with its card, scores of
tokens and dialogues, and how well they tell labels apart. It plans nothing, runs no model, and knows no kind
of workload: who fits from texts has their states extracted first.
"""
