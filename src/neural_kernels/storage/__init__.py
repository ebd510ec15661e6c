"""Matrices on disk that are computed block by block, by one process or several, and resumed after any interruption.

- `matrix`: the task of a matrix, and the loop that writes its blocks
- `kernel_task`: the task of a kernel's matrix, for kernels of any room
- `journal`: the file beside a matrix that tells which of its blocks are done, and by which processes share them out
- `locks`: locks of single bytes of a file, which end with the process
- `checkpoint`: the file of a computation's last whole state
- `fingerprint`: texts and digests by which a later process tells whether it computes the same matrix
"""
