"""What training a torch module would give, by its empirical kernel."""
