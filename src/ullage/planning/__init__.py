"""Where and when: from a `Demand` and a set of GPUs to a `Plan`.

Places blocks on devices, takes maxima over phases, decides, advises, and estimates time and cost.
Computes no bytes of its own.
"""
