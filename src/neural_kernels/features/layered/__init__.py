"""Features that go through a network layer by layer, as every layer's recursion says.

- `kernel_factor`: the representation of a kernel by a factor of it, in blocks of columns;
- `nonlinearity`: what a method has to bring along, features of the nonlinear part of an activation;
- `coefficients`: Hermite coefficients of activations, and which parts of them are exact columns;
- `mixing`: random steps that do not depend on the activation (products, sums over windows, signs of positions);
- `loops`: their compiled loops;
- `draws`: where random modules are kept, by the number of the step that uses them;
- `layered_map`: the whole as a module, with columns where they count.
"""
