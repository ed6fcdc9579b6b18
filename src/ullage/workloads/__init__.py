"""The kinds of workload. Each is one folder: its part of the file, its phases, its report, its run."""
