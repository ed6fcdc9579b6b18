"""What every kind of workload shares: the protocol it follows, the registry it is found in, its execution."""
