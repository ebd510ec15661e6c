"""Expectations over two jointly normal variables."""
