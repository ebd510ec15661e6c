"""Exact kernels at hardware speed: tiles of the Gram matrix that stay in cache, and the loops over them."""
