"""What this machine is and has, as far as it can be read without loading a heavy library, and what of it is
wrong.

In: NVML, the system's own files, metadata of packages, and what libraries said when they were tried out
elsewhere (`runtime.health`). Out: values, and a finding for each with what to do. Nothing here raises for
what a machine lacks, imports what may break, or asks a network.
"""
