"""Kernels as expressions."""
