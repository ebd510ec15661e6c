"""How a module is watched in a forward pass, and what is found out about the way its parameters come in.

- `hooks`: the places where parameters come in (`ParameterSite`), and the hooks that watch them.
- `recording`: one forward pass that remembers what was read and written at every site (`Recorder`, `Recording`).
- `structure`: what is known of a module: its calls of layers, and which parameters these account for.
- `discover`: how that is found out, by probing with two and with three examples, and checked against autograd.
"""
