"""cupy's one module that calls the CUDA runtime, built anew from cupy's own source.

The wheel's module holds a copy of NVIDIA's runtime inside, which no library loaded before it can stand in for. Built
from the same source without that copy, it calls whichever runtime the process has: the simulated one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from cudasim.making import compiler
from cudasim.versions import versions

NAME = "cupy_backends.cuda.api.runtime"

#: Runs in a folder of cupy's source: what cupy's own build passes for this module.
TRANSLATE = """
import Cython
from Cython.Build import cythonize
from setuptools import Extension

cythonize(
    [Extension("{name}", ["{path}.pyx"], language="c++")],
    language_level=3,
    quiet=True,
    compiler_directives={{
        "linetrace": False,
        "profile": False,
        "embedsignature": True,
        "c_api_binop_methods": True,
        "binding": False,
        "warn.deprecated.IF": False,
        "freethreading_compatible": True,
    }},
    compile_time_env={{
        "CUPY_USE_CUDA_PYTHON": False,
        "CUPY_CUFFT_STATIC": False,
        "CUPY_CYTHON_VERSION": Cython.__version__,
        "CUPY_CUDA_VERSION": {cuda},
        "CUPY_HIP_VERSION": 0,
    }},
)
"""


def download(folder: Path) -> Path:
    """Fetch cupy's source distribution through pip."""
    # Without READTHEDOCS pip's look at the metadata runs cupy's search for a CUDA toolkit, which fails without one.
    environment = os.environ | {"READTHEDOCS": "True"}
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", "cupy", "--dest", str(folder)]
    subprocess.run([*pip, f"cupy=={versions().cupy}"], check=True, env=environment, stdin=subprocess.DEVNULL)
    return next(folder.glob("cupy-*.tar.gz"))


def build(headers: Path, into: Path) -> Path:
    """Build the module into the folder `into`, with CUDA's headers from the folder `headers`."""
    path = NAME.replace(".", "/")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(download(folder)) as archive:
            archive.extractall(folder, filter="data")
        source = next(folder.glob("cupy-*/"))
        script = TRANSLATE.format(name=NAME, path=path, cuda=versions().cuda_number)
        compiler.run([sys.executable, "-c", script], cwd=source)
        made = source / ("runtime" + sysconfig.get_config_var("EXT_SUFFIX"))
        include = [sysconfig.get_path("include"), str(headers), str(source / "cupy/_core/include")]
        compiler.run(
            [
                *compiler.CXX,
                *("-shared", "-O1", "-w", "-fPIC"),
                *(f"-I{folder}" for folder in include),
                *("-D_FORCE_INLINES=1", '-DCYTHON_EXTERN_C=extern "C"', "-DCUPY_CACHE_KEY=simulated"),
                str(source / f"{path}.cpp"),
                *("-o", str(made)),
            ]
        )
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(made, into))
