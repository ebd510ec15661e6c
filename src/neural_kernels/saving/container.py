"""One file of arrays and a text: safetensors, written whole or not at all, checked before anything is made of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neural_kernels.errors import LoadError
from neural_kernels.runtime.whole_files import replacing

FORMAT = 1  # the newest that is written, and read
_CHUNK = 1 << 24  # bytes hashed and written at a time
_LONGEST = 1 << 26  # bytes of a header
_DTYPES = {
    "BOOL": "bool",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Container:
    """What a file holds.

    Parameters
    ----------
    text : str
        The description.
    arrays : mapping of str to ndarray
        In C order.
    """

    text: str
    arrays: Mapping[str, np.ndarray]

    def write(self, file: BinaryIO) -> None:
        """Write the bytes of a safetensors file; no array is copied as a whole."""
        table, end = {}, 0
        for name, array in self.arrays.items():
            start, end = end, end + array.nbytes
            table[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, end]}
        digest = _begun(self.text, table)
        for array in self.arrays.values():
            for part in _parts(array):
                digest.update(part)
        about = {"format": "neural_kernels", "version": str(FORMAT), "sha256": digest.hexdigest()}
        header = json.dumps({"__metadata__": about | {"description": self.text}, **table}).encode()
        header += b" " * (-len(header) % 8)  # so that the numbers behind it are aligned
        if len(header) > _LONGEST:
            raise OverflowError(f"a description of {len(header):,} bytes: files have room for {_LONGEST:,}")
        file.write(len(header).to_bytes(8, "little") + header)
        for array in self.arrays.values():
            for part in _parts(array):
                file.write(part)

    @classmethod
    def read(cls, path: Path) -> Container:
        """Read a file; arrays are made only when their sizes are known to be those of the file.

        Raises
        ------
        LoadError
            It is another file, damaged, or of a newer format.
        """
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            header = _header(file, length)
            about = header.pop("__metadata__", None)
            text = _text(about)
            _check_table(header, length - file.tell())
            digest, arrays = _begun(text, header), {}
            for name, entry in header.items():
                array = _empty(entry)
                for part in _parts(array):
                    if file.readinto(part) != len(part):
                        raise LoadError("the file was cut off while it was read")
                    digest.update(part)
                arrays[name] = array
        if digest.hexdigest() != about["sha256"]:
            raise LoadError("the file is damaged: its content is not that of its hash. Take another copy of it")
        return cls(text, arrays)


def write_whole(container: Container, path: Path) -> None:
    """Write a file that takes the place of one that is there only when it is complete and on the disk."""
    with replacing(path, f".{os.getpid()}.part") as file:  # several processes may save at once
        container.write(file)


def _header(file: BinaryIO, length: int) -> dict[str, Any]:
    size = int.from_bytes(file.read(8), "little")
    if length < 8 or not 0 < size <= min(length - 8, _LONGEST):
        raise LoadError("no file by nk.save, or one that was cut off: its length and its header do not agree")
    try:
        header = json.loads(file.read(size))
    except (ValueError, RecursionError) as error:
        raise LoadError(f"no file by nk.save, or a damaged one: its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise LoadError("no file by nk.save, or a damaged one: its header is no JSON object")
    return header


def _text(about: Any) -> str:
    """The description, from what the header says of the file."""
    if not isinstance(about, dict) or about.get("format") != "neural_kernels":
        raise LoadError("no file by nk.save: a safetensors file, perhaps, but its format is another one")
    if about.get("version") not in [str(version) for version in range(1, FORMAT + 1)]:
        raise LoadError(
            f"a file of format {about.get('version')!r}: this version of neural_kernels reads formats 1 to {FORMAT}. "
            "Update the library"
        )
    if not (isinstance(about.get("description"), str) and isinstance(about.get("sha256"), str)):
        raise LoadError("a damaged file: it has no description or no hash")
    return about["description"]


def _check_table(table: dict[str, Any], length: int) -> None:
    """Refuse arrays that are not one after the other over all the rest of the file."""
    end = 0
    for name, entry in table.items():
        if not (isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}):
            raise LoadError(f"a damaged file: array {name!r} has no dtype, shape and offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not (isinstance(dtype, str) and dtype in _DTYPES and _are_sizes(shape) and _are_sizes(offsets)):
            raise LoadError(f"a damaged file: array {name!r} of dtype {dtype!r}, shape {shape!r}, at {offsets!r}")
        start, end = end, end + math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        if offsets != [start, end] or end > length:
            raise LoadError(f"a damaged file: array {name!r} is not where, or not as long as, its shape says")
    if end != length:
        raise LoadError(f"a damaged file: {length:,} bytes of data, and arrays of {end:,}")


def _empty(entry: dict[str, Any]) -> np.ndarray:
    try:
        return np.empty(entry["shape"], _DTYPES[entry["dtype"]])
    except ValueError as error:  # an axis of length 0, and others that NumPy does not take
        raise LoadError(f"a damaged file: an array of shape {entry['shape']} ({error})") from error


def _are_sizes(value: Any) -> bool:
    """Whether a value is a list of sizes; of few axes, as NumPy has them."""
    return (
        isinstance(value, list) and len(value) <= 32 and all(type(size) is int and 0 <= size < 2**62 for size in value)
    )


def _begun(text: str, table: Mapping[str, Any]) -> Any:
    """The hash of all but the data."""
    return hashlib.sha256(json.dumps([text, list(table.items())], sort_keys=True).encode())


def _parts(array: np.ndarray) -> Iterable[memoryview]:
    """The bytes of an array, without a copy."""
    whole = array.reshape(-1).view(np.uint8).data
    return (whole[start : start + _CHUNK] for start in range(0, len(whole), _CHUNK))
