"""How a module is watched and understood."""
