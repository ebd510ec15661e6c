"""Gradients as factors, and their products."""
