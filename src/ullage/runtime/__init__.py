"""Keeps a run inside its plan: loads models where the plan puts them, batches, measures, warns.

In: a plan and what it was made from. Out: loaded models and measurements. It decides nothing about
placement or precision: the plan has.
"""
