"""Programs as text, for the eyes of who looks into the compiler."""

from __future__ import annotations

from collections.abc import Sequence

from neural_kernels.engine import codes
from neural_kernels.engine.positions import program as positions
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.exact.compile.rows import Row
from neural_kernels.exact.compile.schedule import Stage

_CODES = ["ARC", "SCHUR", "BLEND", "CHAIN", "MIX", "SERIES", "POWERS", "TABLE", "KINKS", "RAISED", "WAVES"]
_OF_POSITIONS = ["GAP", "LOAD", "GATHER", "WEIGHTED", "WINDOW", "POOLED", "POOL"]
_OF_ENTRIES = ["EXCESS", "ENTRIES", "ADD_ENTRIES", "MULTIPLY_ENTRIES", "MULTIPLY", "SCALE", "FILL", "TOTAL"]
_PAIRS = ["ARC", "TABLE", "KINKS", "RAISED", "WAVES"]  # of value and slope
_NAMES = {getattr(codes, name): name for name in _CODES}
_NAMES |= {getattr(positions, name): name for name in [*_OF_POSITIONS, *_OF_ENTRIES]}
_NAMES |= {-1: "CONSTANT", -2: "SECOND"}


def list_stages(stages: Sequence[Stage]) -> str:
    """The rows of all stages: a number for each, its operation, and the numbers of its operands."""
    numbers: dict[Row, int] = {}
    lines = []
    for k, stage in enumerate(stages):
        lines.append(f"stage {k}, {stage.layout.rows} positions in {stage.layout.width} columns")
        for row in stage.rows:
            for operand in row.operands:
                if operand not in numbers:  # a constant, which belongs to no stage
                    numbers[operand] = len(numbers)
            numbers[row] = len(numbers)
            operands = " ".join(str(numbers[operand]) for operand in row.operands)
            lines.append(f"  {numbers[row]:2} {_NAMES[row.code]} {operands}".rstrip())
    return "\n".join(lines)


def list_vectors(program: VectorProgram) -> str:
    """The operations of a program for vectors, with the registers that they write and read."""
    lines = []
    for (code, target, second, a, b, c, *_), (x, y) in zip(program.table, program.numbers, strict=True):
        name = _NAMES[int(code)]
        reads = {"ARC": [a], "SCHUR": [a, b], "BLEND": [a, b], "MIX": [a, b], "CHAIN": [a, b, c]}.get(name, [a])
        writes = [r for r in ([target, second] if name in _PAIRS else [target]) if r >= 0]
        left, right = (", ".join(f"r{r}" for r in registers) for registers in (writes, reads))
        lines.append(f"{left} = {name} {right}; {x:.4g} {y:.4g}")
    return "\n".join(lines + [f"result r{r}" for r in program.outputs])
