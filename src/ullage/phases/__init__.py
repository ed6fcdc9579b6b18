"""Who is resident and what runs: a workload laid out over time, from the building blocks kinds share."""
