"""Kills a sweep by SIGKILL 200 times at random moments, with --jobs and without, and compares what is left at the end.

    make soak        # or: python tests/soak.py KILLS

Every file of a sweep that was killed, and begun again until it ended, has to have the bytes of one that never was, and
no program may be left that works for nobody.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import forks

WORDS = """--sweep --dataset digits --threads 1 --classes 3 7 --algos OSLOM magnitude --epochs 2 --warmup-epochs 2
    --rounds 1 --brief-epochs 2 --trim-steps 1 --retrain-epochs 2 --rate 0.02 --save-every 1 --save-dir"""
WITH_JOBS = 0.2  # of the kills, as two processes take long to start
PATIENCE = 10  # seconds until a program has noticed that it works for nobody


def soaked(run: forks.Server, words: list[str], kills: int, place: Path) -> tuple[int, int]:
    """(sweeps that ended, sweeps that differ), one after the other until they were killed so many times."""
    code, seconds = run([*words, place / "whole"], place / "out")
    if code:
        sys.exit(f"the sweep fails: {(place / 'out').read_text()}")
    whole, drawn, killed, ended, wrong = forks.contents(place / "whole"), random.Random(kills), 0, 0, 0
    while killed < kills:
        ended, saved = ended + 1, place / f"{ended}"
        while (code := run([*words, saved], place / "out", next_moment(drawn, seconds, killed < kills))[0]) == -9:
            killed += 1
        differing, left = differences(whole, forks.contents(saved)), programs_in(Path(tempfile.gettempdir()))
        if code or differing or left:
            wrong += 1
            print(f"sweep {ended}: exit code {code}, differing files {differing}, programs left {left}")
        shutil.rmtree(saved)
        print(f"{killed} of {kills} kills, {ended} sweeps ended, {wrong} of them wrong", flush=True)
    return ended, wrong


def next_moment(drawn: random.Random, seconds: float, kill: bool) -> float | None:
    """When a run is to be killed."""
    return drawn.uniform(0, seconds) if kill else None


def differences(whole: dict, found: dict) -> list[str]:
    """Names of what is not the same in both."""
    return sorted(name for name in {**whole, **found} if whole.get(name) != found.get(name))


def programs_in(place: Path) -> list[str]:
    """Processes that still work in a folder when they had time to end."""
    until = time.monotonic() + PATIENCE
    while (found := [pid for pid in os.listdir("/proc") if works_in(pid, place)]) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def works_in(pid: str, place: Path) -> bool:
    try:
        return pid.isdigit() and Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(place)
    except OSError:  # it has ended, or is somebody else's
        return False


def main(kills: int) -> int:
    with tempfile.TemporaryDirectory(prefix="specdnn-soak-") as folder:
        place = Path(folder).resolve()
        os.environ["TMPDIR"] = tempfile.tempdir = str(place / "programs")  # where the programs work
        several, told, wrong = int(WITH_JOBS * kills), [], 0
        for number, jobs in ((kills - several, 1), (several, 2)):
            for name in ("programs", f"jobs{jobs}"):
                (place / name).mkdir(exist_ok=True)
            with forks.Server(report=False) as run:
                ended, differ = soaked(run, ["--jobs", jobs, *WORDS.split()], number, place / f"jobs{jobs}")
            told, wrong = (
                [*told, f"--jobs {jobs}: {number} kills, {ended} sweeps ended, {differ} wrong"],
                wrong + differ,
            )
        print("; ".join(told))
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
