"""What training a torch module would give, by its empirical kernel.

- `predictor`: what users call;
- `targets`: numbers or labels, as the outputs learn them;
- `expansion`: the module around its present parameters: its outputs there, its kernel, and what coefficients add.
"""
