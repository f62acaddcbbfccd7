"""The driver of the benchmarks: sides, servers, workloads, reports. Python's standard library only."""
