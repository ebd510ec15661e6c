"""What every room runs on: the compiler, workers, memory, the loop over tiles, numerics, the boundary of arrays."""
