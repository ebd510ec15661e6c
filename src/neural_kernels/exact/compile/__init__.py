"""From expressions to programs of the engine."""
