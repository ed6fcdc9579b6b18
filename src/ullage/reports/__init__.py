"""Plans and models as text for people and documents for programs. Computes nothing.

In: values of the rooms above. Out: rich tables, plain dictionaries.
"""
