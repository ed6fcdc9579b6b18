"""How many bytes: formulas from an architecture and a phase to a `Demand` that is not yet placed.

In: phases, models, evidence. Out: `Demand`. One formula a function; no model is named here, and
nothing knows which GPU will hold what.
"""
