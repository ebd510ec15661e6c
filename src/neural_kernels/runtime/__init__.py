"""What every room runs on.

- `types`: names of types that every room uses
- `numerics`: functions with an edge, and their gradients there
- `boundary`: arrays of any make in, checked numbers inside, the same make out
- `jit`: numba's compiler, and the cache of what it makes
- `lazy`: attributes computed when first asked for, without a lock
- `versions`: what a report of a fault should say
- `digests`: of texts and arrays, the same in every process
- `plain_state`: tensors as NumPy arrays in pickles and the like
- `whole_files`: files that are there whole or not at all
- `heap`: freed memory that is used again
- `workers`: tasks shared out to threads
- `tiles`: the loop over tiles of a matrix
- `products`: large products of matrices
"""
