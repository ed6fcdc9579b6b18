"""Tries libraries out, each in a process of its own: what one breaks, hangs or prints is its own.

In: names of libraries that are installed. Out: what each said (`facts.health.tried`). Never an import in the
process that asks, nor a question to a hub.
"""
