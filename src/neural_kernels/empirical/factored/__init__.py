"""Gradients of groups of parameters in the form whose inner products are cheapest, and the Gram matrices of these.

- `contractions`: inner products of sums of outer products, in three orders, and what each costs.
- `gradients`: a group's gradients for some examples, whole or as two factors, behind one interface.
- `accumulate`: how passes through the module write them, an output at a time.
- `passes`: passes through a module and copies of it at the same time.
- `plan`: which form each group takes, how many examples a pass takes, and the gradients of a block of examples.
- `gram_blocks`: all entries of a Gram matrix, block by block, or its diagonal.
"""
