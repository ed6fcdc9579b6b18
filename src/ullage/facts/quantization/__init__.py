"""Quantization schemes: one value each, and how a checkpoint names the one it is stored in.

Everything else asks the value: what weights take, which ones it replaces, how they load, what a product
takes beside them, what it loses. A new scheme is one entry of `SCHEMES`.
"""
