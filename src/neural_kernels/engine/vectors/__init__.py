"""The machine for kernels of vectors."""
