"""Requirements guides: a page made of a workload's plans, and a file of it that keeps a person's own words.

In: `planning.guide.Guide`. Out: a `pages.Page`, and the text of a file. Computes nothing.
"""
