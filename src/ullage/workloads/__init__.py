"""What all kinds of workload share: what a kind is, where it is found, how it is planned and run."""
