"""The Cython core's modules; everything else stands in pyproject.toml."""

import os
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup

CORE = Path("interop/_native")

# Python's own flags ask for what a debugger reads, which is three quarters of a wheel. `make sanitize` has others.
DEFAULT = "/O2 /std:c11" if sys.platform == "win32" else "-O2 -g0"
FLAGS = os.environ.get("INTEROP_CORE_FLAGS", DEFAULT).split()


def description() -> str:
    """The README for a package index, which has no other file of ours: links and pictures where they will be."""
    source = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    text = re.sub(r"\n<!-- .*? -->", "", Path("README.md").read_text(encoding="utf-8"))
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\1{source}/raw/main/", text)
    return re.sub(r"(?<=\]\()(?!https?:|#)", f"{source}/blob/main/", text)


setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    ext_modules=cythonize(
        [
            Extension(
                f"interop._native.{source.stem}",
                [str(source)],
                include_dirs=[np.get_include()],
                # Runs on numpy 1.26 and newer, whichever it was built with.
                define_macros=[
                    (name, "NPY_1_25_API_VERSION") for name in ("NPY_NO_DEPRECATED_API", "NPY_TARGET_VERSION")
                ],
                extra_compile_args=FLAGS,
                extra_link_args=[flag for flag in FLAGS if flag.startswith("-fsanitize=")],
                depends=["setup.py", *map(str, sorted(CORE.glob("*.h")))]
                if source.stem == "_copying"
                else ["setup.py"],
            )
            for source in sorted(CORE.glob("*.pyx"))
        ],
        # Bounds checks stay on: they cost C arrays nothing, and without them ()[0] of a caller's tuple reads beyond it.
        compiler_directives={
            "language_level": "3",
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": True,
        },
    ),
    # On every core: a dozen modules.
    options={"build_ext": {"parallel": True}},
)
