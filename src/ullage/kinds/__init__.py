"""The kinds of workload, one folder each: its part of the file, its phases, its run and its report."""
