"""Many machines, each with copies of a workload, and records that come to them in partitions."""
