"""Matrices on disk that are computed block by block, and resumed after any interruption."""
