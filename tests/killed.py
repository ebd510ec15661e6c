"""Fits in processes of their own, which are killed at moments of chance and begun again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def killed_and_resumed(
    script: str, folder: Path, kills: int, pause: float, seconds: float
) -> tuple[int, dict[str, np.ndarray]]:
    """Run a script until it comes to its end.

    Parameters
    ----------
    script : str
        Its arguments are the checkpoint's path, that of its result (NPZ), and a pause before each block of rows. It
        says a line when it begins.
    folder : Path
    kills : int
        The first lives that are ended, after a part of `seconds`.
    pause, seconds : float

    Returns
    -------
    count : int
        How often a process was killed before it came to its end.
    result : dict of arrays
    """
    file, path, result = folder / "fit.py", folder / "fit.checkpoint", folder / "result.npz"
    file.write_text(script)
    rng, count = np.random.default_rng(1), 0
    while not result.exists():
        command = [sys.executable, str(file), str(path), str(result), str(pause)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        if count < kills:
            time.sleep(float(rng.uniform(0.2, 1.0) * seconds))
            process.send_signal(signal.SIGKILL)
        process.stdout.close()
        killed = process.wait() == -signal.SIGKILL
        assert killed or process.returncode == 0  # a fit that fails would be begun again for ever
        count += killed
    return count, dict(np.load(result))


def once(script: str, folder: Path) -> dict[str, np.ndarray]:
    """The script's result without a checkpoint."""
    file, result = folder / "fit.py", folder / "once.npz"
    file.write_text(script)
    subprocess.run([sys.executable, str(file), "", str(result), "0"], check=True, capture_output=True)
    return dict(np.load(result))
