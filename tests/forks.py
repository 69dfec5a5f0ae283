"""Runs `main.py` of MNIST/ again and again, each time in a process that may be killed; torch is loaded once for all.

    with forks.Server() as server:
        code, seconds = server(["--dataset", "digits"], out, after=0.5)

As a program it reads such requests from stdin, a line of JSON each, and answers them on stdout.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# what differs between two networks that are measured alike
VARYING = ("seconds", "latency_ms", "date", "git_commit")


class Server:
    """Another process, in which runs are started. `report` False: a sweep ends before its report."""

    def __init__(self, report: bool = True) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), *([] if report else ["--no-report"])]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __call__(self, words, out: Path, after: float | None = None) -> tuple[int, float]:
        """(exit code, seconds) of a run; killed by SIGKILL with all that it started in its group after some seconds."""
        self.process.stdin.write(json.dumps([list(map(str, words)), str(out), after]) + "\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))


def contents(place: Path) -> dict[str, object]:
    """Name -> bytes of every file, of a metrics file what does not depend on the day."""
    found = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    for name in (name for name in found if name.endswith(".json") and ".rounds/" not in name):
        found[name] = {key: value for key, value in json.loads(found[name]).items() if key not in VARYING}
    return found


# ------------------------------------------------------------------------------------------ in the server


def serve(report: bool) -> None:
    sys.path[:0] = [str(ROOT / "MNIST")]
    from specdnn import cli

    cli.set_environment()
    import dataset
    import sklearn.datasets  # noqa: F401
    import torch
    from models import ARCHITECTURES

    from specdnn import verbs

    torch.set_deterministic_debug_mode("warn")

    if not report:
        verbs.report = lambda *_, **__: None
    for line in sys.stdin:
        words, out, after = json.loads(line)
        begun = time.monotonic()
        run = lambda words=words: cli.main(ROOT / "MNIST", ARCHITECTURES, dataset, words)  # noqa: E731
        print(json.dumps([forked(run, out, after), time.monotonic() - begun]), flush=True)


def forked(run, out: str, after: float | None) -> int:
    """The exit code of a run in a process of its own, which is the first of its group."""
    pid = os.fork()
    if not pid:
        code = 99
        with contextlib.suppress(BaseException):
            os.setsid()
            place = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(place, 1)
            os.dup2(place, 2)
            os.close(0)
            code = run()
        os._exit(code)
    until = None if after is None else time.monotonic() + after
    while not (ended := os.waitpid(pid, os.WNOHANG if until else 0))[0]:
        if time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            until = float("inf")
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):  # processes of --jobs outlive the first of their group
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(ended[1])


if __name__ == "__main__":
    serve("--no-report" not in sys.argv)
