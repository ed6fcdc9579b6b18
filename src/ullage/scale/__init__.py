"""Past one machine: partitions of a run, done by the actors of a Ray cluster.

In comes a session and the partitions that are left; out comes that none is. Ray places the actors and tells
of their deaths; what is done is told from the run's folder alone. It knows no kind, and imports Ray late.
"""
