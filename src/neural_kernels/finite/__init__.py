"""Torch modules of finite width; they import nothing of the rest of the library."""
