"""Pages for people and documents for programs. Computes nothing.

In: values of the rooms above. Out: pages as values (`pages` shows them on a terminal, as HTML or Markdown),
plain dictionaries.
"""
