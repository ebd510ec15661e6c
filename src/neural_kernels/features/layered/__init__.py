"""Feature maps built layer by layer."""
