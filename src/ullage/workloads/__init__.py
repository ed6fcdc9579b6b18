"""The kinds of workload. Each is one folder: its part of the file, phases, report and run."""
