"""The driver of the benchmarks: sides, servers, workloads, reports. It needs only Python's standard
library."""
