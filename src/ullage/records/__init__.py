"""What a run leaves on disk: its folder, journal, record and verification, and the evidence of past runs.

In: what was measured. Out: files, and values read back from them. Readable without torch.
"""
