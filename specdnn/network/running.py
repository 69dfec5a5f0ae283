"""Exported networks, run where they will be used: torch, onnxruntime, compiled C. All take and give numpy arrays.

Every runner works with one thread: images (n, *shape) float32 -> probabilities (n, outputs) float32.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from specdnn.structures import SpecDNNError

Runner = Callable[[np.ndarray], np.ndarray]
Name = TypeVar("Name", bound=Hashable)
COMPILERS = ("cc", "gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
TURNS, TURN_SECONDS = 15, 0.02  # of one measurement


# ------------------------------------------------------------------------------------------ torch, onnxruntime


def in_torch(network: nn.Module) -> Runner:
    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: torch.Tensor = network(torch.from_numpy(images))
            return found.numpy()

    return run


def in_onnxruntime(content: bytes) -> Runner:
    """Of an ONNX file with one input and one output."""
    import onnxruntime

    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = how.inter_op_num_threads = 1
    how.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, how, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return lambda images: session.run(None, {name: images})[0]


# ------------------------------------------------------------------------------------------ C


@dataclass(frozen=True)
class Compiled:
    """A header, compiled: `run`, and the bytes of its object file as small as the compiler makes it."""

    run: Runner
    object_bytes: int


def compiler() -> str | None:
    """The C compiler: that of CC, else the first that there is; None without one."""
    return next((found for name in (os.environ.get("CC"), *COMPILERS) if name and (found := shutil.which(name))), None)


def in_c(header: str, name: str, outputs: int) -> Compiled:
    """A header with `void NAME_predict(const float *, float *)`, compiled and loaded.

    Raises SpecDNNError if there is no compiler, or if it refuses or warns.
    """
    with tempfile.TemporaryDirectory(prefix="specdnn-") as place:
        folder = Path(place)
        (folder / "model.h").write_text(header, encoding="ascii")
        (folder / "model.c").write_text(_many_images(name, outputs), encoding="ascii")
        _compiled(folder, "-Os", "-c", "-DONE", "-o", "model.o")
        _compiled(folder, "-O3", "-shared", "-fPIC", "-o", "model.so", after=("-lm",))
        library = ctypes.CDLL(str(folder / "model.so"))  # it stays loaded when its file is gone
        return Compiled(_runner(library.specdnn_many, outputs), (folder / "model.o").stat().st_size)


def _many_images(name: str, outputs: int) -> str:
    """A C file that runs the header on one image after the other; without that if ONE is defined."""
    return f"""#include "model.h"
#ifndef ONE
void specdnn_many(const float *images, float *probabilities, int count, int pixels);
void specdnn_many(const float *images, float *probabilities, int count, int pixels)
{{
    for (int i = 0; i < count; i++)
        {name}_predict(images + (long)i * pixels, probabilities + (long)i * {outputs});
}}
#else
extern void (*specdnn_one)(const float *, float *);
void (*specdnn_one)(const float *, float *) = {name}_predict;
#endif
"""


def _compiled(folder: Path, *flags: str, after: tuple[str, ...] = ()) -> None:
    program = compiler()
    if program is None:
        raise SpecDNNError(f"no C compiler was found ({', '.join(COMPILERS)}; the variable CC names another one)")
    line = [program, *STRICT, *flags, "model.c", *after]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().partition("\n")[0]
        raise SpecDNNError(f"{Path(program).name} refuses the C header: {told}")


def _runner(function: Any, outputs: int) -> Runner:
    floats = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    function.argtypes, function.restype = [floats, floats, ctypes.c_int, ctypes.c_int], None

    def run(images: np.ndarray) -> np.ndarray:
        found = np.empty((len(images), outputs), np.float32)
        function(images, found, len(images), images[0].size)
        return found

    return run


# ------------------------------------------------------------------------------------------ measuring


def medians_ms(runners: Mapping[Name, Runner], images: np.ndarray) -> dict[Name, float]:
    """Median milliseconds of each runner on these images, with one thread.

    They take turns, so that all meet the same machine; a turn is many calls of a fast one, whose caches it then has for
    itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        calls = {name: _calls(run, images) for name, run in runners.items()}
        turns = [{name: _seconds(run, images, calls[name]) for name, run in runners.items()} for _ in range(TURNS)]
    finally:
        torch.set_num_threads(threads)
    return {name: 1000 * float(np.median([turn[name] for turn in turns])) for name in runners}


def _calls(run: Runner, images: np.ndarray) -> int:
    """How often it is called in a turn."""
    run(images)
    return max(1, round(TURN_SECONDS / _seconds(run, images, 1)))


def _seconds(run: Runner, images: np.ndarray, calls: int) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    for _ in range(calls):
        run(images)
    return (time.perf_counter() - start) / calls
