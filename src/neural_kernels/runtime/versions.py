"""What a report of a fault should say: versions, threads, libraries, devices."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

import torch

_PACKAGES = ("neural-kernels", "torch", "numpy", "scipy", "scikit-learn", "numba", "matplotlib", "dask", "safetensors")


def show_versions() -> None:
    """Print the versions of this library and of what it runs on, threads, linear algebra and devices.

    For reports of faults, as ``sklearn.show_versions()``.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.show_versions()  # doctest: +ELLIPSIS
    System
      python          ...
    """
    sections = {"System": _system(), "Packages": _packages(), "Threads and libraries": _libraries(), "CUDA": _cuda()}
    for title, lines in sections.items():
        print(title)
        for name, value in lines:
            print(f"  {name:<16} {value}")


def _system() -> Iterator[tuple[str, str]]:
    yield "python", sys.version.replace("\n", " ")
    yield "machine", platform.platform()
    yield "cores", str(os.cpu_count())


def _packages() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def _libraries() -> Iterator[tuple[str, str]]:
    """Those that are loaded: threadpoolctl comes with scikit-learn."""
    from threadpoolctl import threadpool_info

    yield "torch uses", f"{torch.get_num_threads()} threads"
    for library in threadpool_info():
        parts = [library["internal_api"], library.get("version") or "", f"{library['num_threads']} threads"]
        yield library["user_api"], " ".join(part for part in parts if part)


def _cuda() -> Iterator[tuple[str, str]]:
    yield "built for", str(torch.version.cuda or "the CPU alone")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield "devices", ", ".join(torch.cuda.get_device_name(k) for k in range(count)) or "none"
