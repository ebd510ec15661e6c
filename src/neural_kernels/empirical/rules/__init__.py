"""How each kind of layer turns what it read, and the gradients by what it wrote, into gradients by its parameters.

- `base`: the interface `LayerRule`, and the helpers that rules share.
- `inputs`: `LayerInput`, what a layer read, as vectors or as numbers of rows of a table.
- `layers`: one rule for each kind of layer, and `rule_of`, which finds a module's.
- `convolutions`: the rule for convolutions, which reads patches of images.
- `cache`: examples cut into parts whose temporaries stay in cache.

A new kind of layer takes a rule in `layers` and a line in `rule_of`. That rule is checked against autograd for every
module in which it is used, so a wrong one costs time and no accuracy.
"""
