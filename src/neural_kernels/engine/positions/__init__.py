"""The machine for kernels over positions."""
