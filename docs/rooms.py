"""Draw the rooms of the library from its imports: ``python docs/rooms.py picture.svg`` (or .png).

Floors are those of the contract in pyproject.toml. An arrow goes from a room to one it imports, wherever in a file and
for whatever reason; arrows that a path of others stands for are thin.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "neural_kernels"
WIDE, HIGH = 2.35, 0.62  # of a box, in inches
ACROSS, UP = 2.75, 1.18  # from box to box, from floor to floor


@dataclass
class Room:
    """A package, or a file by itself, at the top of the library."""

    name: str
    files: int = 0
    lines: int = 0
    imports: Counter[str] = field(default_factory=Counter)


def read_rooms(source: Path) -> dict[str, Room]:
    """All rooms, with the number of imports from each other one."""
    rooms: dict[str, Room] = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = parts[0]
        if name == "__init__":
            continue  # the door of the house: it names everything
        text = path.read_text(encoding="utf-8")
        room = rooms.setdefault(name, Room(name))
        room.files += 1
        room.lines += text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
                deeper = node.module.split(".")[1:] or [alias.name for alias in node.names]
                if deeper[0] != name:
                    room.imports[deeper[0]] += 1
    for room in rooms.values():
        room.imports = Counter({other: count for other, count in room.imports.items() if other in rooms})
    return rooms


def read_floors() -> list[list[str]]:
    """Rooms by floors, from the top down."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = (one for one in tool["importlinter"]["contracts"] if one["type"] == "layers")
    return [[name.strip() for name in floor.split("|")] for floor in contract["layers"]]


def implied(rooms: dict[str, Room], start: str, end: str) -> bool:
    """Whether a longer path leads from one room to another that it imports."""
    todo, seen = [other for other in rooms[start].imports if other != end], set()
    while todo:
        room = todo.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            todo += rooms[room].imports
    return False


def places(floors: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The middle of every box."""
    found = {}
    for height, floor in enumerate(reversed(floors)):
        for k, name in enumerate(floor):
            found[name] = (k - (len(floor) - 1) / 2) * ACROSS, height * UP
    return found


def ports(rooms: dict[str, Room], at: dict[str, tuple[float, float]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Where every arrow leaves its box and where it meets the other, side by side in the order of their directions."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    leaving = {name: sorted(room.imports, key=lambda other: _slope(at, name, other)) for name, room in rooms.items()}
    for name in rooms:
        users = sorted((user for user in rooms if name in rooms[user].imports), key=lambda user: _slope(at, name, user))
        for k, user in enumerate(users):
            outgoing = leaving[user]
            found[user, name] = _along(outgoing.index(name), len(outgoing)), _along(k, len(users))
    return found


def _slope(at: dict[str, tuple[float, float]], name: str, other: str) -> tuple[float, float]:
    (x, y), (x2, y2) = at[name], at[other]
    return (x2 - x) / max(abs(y2 - y), 0.1), y2


def _along(k: int, count: int) -> float:
    return ((k + 0.5) / count - 0.5) * 0.9 * WIDE


def draw(target: Path) -> None:
    """Write the picture; its format is that of the suffix."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    rooms, at = read_rooms(ROOT / "src" / PACKAGE), places(read_floors())
    width = max(x for x, _ in at.values()) + ACROSS / 2
    top = max(y for _, y in at.values()) + UP / 2
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": PACKAGE, "font.family": "sans-serif"}):
        figure = plt.figure(figsize=(2 * width * 0.78, (top + UP / 2) * 0.78))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(-width, width), ylim=(-UP / 2, top))
        axes.set_axis_off()
        for (name, other), (leaves, meets) in ports(rooms, at).items():
            (x, y), (x2, y2) = at[name], at[other]
            thin = implied(rooms, name, other)
            arrow = FancyArrowPatch(
                (x + leaves, y - HIGH / 2),
                (x2 + meets, y2 + HIGH / 2),
                arrowstyle="-|>,head_length=4,head_width=2",
                shrinkA=0,
                shrinkB=0,
                linewidth=0.5 if thin else 1.3,
                color="#b4c0cd" if thin else "#33506e",
                zorder=1 if thin else 2,
            )
            axes.add_patch(arrow)
        for name, room in rooms.items():
            x, y = at[name]
            box = FancyBboxPatch(
                (x - WIDE / 2, y - HIGH / 2), WIDE, HIGH, boxstyle="round,pad=0,rounding_size=0.1", zorder=3
            )
            box.set(facecolor="#f2f6fa", edgecolor="#33506e", linewidth=1)
            axes.add_patch(box)
            axes.text(x, y + 0.09, name, ha="center", va="center", fontsize=11, fontweight="bold", zorder=4)
            size = f"{room.lines:,} lines" if room.files == 1 else f"{room.files} files, {room.lines:,} lines"
            axes.text(x, y - 0.15, size, ha="center", va="center", fontsize=8, color="#44546a", zorder=4)
        figure.savefig(target, facecolor="white", metadata={"Date": None} if target.suffix == ".svg" else None)
        plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
