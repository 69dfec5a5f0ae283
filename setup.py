"""What pyproject.toml cannot say: installing the package compiles the programs of oslom/ into specdnn/bin.

An installation in place (`pip install -e .`) compiles nothing: there `specdnn.community.binaries` finds those of
oslom/.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

SOURCE = Path(__file__).resolve().parent / "oslom"
PROGRAMS = ("oslom_undir", "oslom_dir")


class BuildWithPrograms(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            compile_into(Path(self.build_lib) / "specdnn" / "bin")

    def get_outputs(self, include_bytecode=True):
        programs = [os.path.join(self.build_lib, "specdnn", "bin", name) for name in PROGRAMS]
        return super().get_outputs(include_bytecode) + ([] if self.editable_mode else programs)


def compile_into(place: Path) -> None:
    """Compile in a copy, so that the source tree stays as it is; make runs there, for it takes no paths with blanks."""
    compiler = os.environ.get("CXX", "").split() or ["g++"]
    for tool in ("make", compiler[0]):
        if not shutil.which(tool):
            raise CompileError(
                f"specdnn holds C++ programs, but {tool!r} was not found to compile them: "
                "install make and a C++17 compiler (CXX names it)"
            )
    with tempfile.TemporaryDirectory(prefix="specdnn-build-") as copy:
        shutil.copytree(SOURCE / "src", Path(copy) / "src")
        shutil.copy(SOURCE / "Makefile", copy)
        if subprocess.run(["make", "-j2", f"CXX={' '.join(compiler)}"], cwd=copy, stdin=subprocess.DEVNULL).returncode:
            raise CompileError(f"compiling the programs of oslom/ with {' '.join(compiler)} failed, as told above")
        place.mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            shutil.copy(Path(copy) / "bin" / name, place)


class PlatformWheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", super().get_tag()[2]  # any Python, for the programs are no extension modules


class WithPrograms(Distribution):
    def has_ext_modules(self):
        return True  # not the same on every platform


setup(distclass=WithPrograms, cmdclass={"build_py": BuildWithPrograms, "bdist_wheel": PlatformWheel})
