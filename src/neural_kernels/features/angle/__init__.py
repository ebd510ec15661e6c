"""Feature maps of kernels that are functions of the angle."""
