"""What the user wants: the workload file as typed values.

In: YAML or JSON text. Out: a `Workload` of frozen values, or one `SpecError` that lists every
mistake with its place. This room knows no model and no number of bytes.
"""
