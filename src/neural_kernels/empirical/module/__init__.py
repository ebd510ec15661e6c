"""A torch module as a function of its parameters and a batch."""
