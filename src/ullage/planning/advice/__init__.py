"""What one may change about a workload, and what that is worth: a search, and the front of what it found.

In come a workload, its cards and a function that says what a candidate comes to; out goes `Advised`: entries
of which none is better in quality, cost and time, each with the options that make it. Computes no bytes and
no times of its own. A kind of change is a file: `role_axes`, `work_axes`, `training_axes`, `card_sets`.
"""
