"""Stand-ins for the CUDA libraries that torch names and the tests never call: cublas, cudnn, nccl and ten more.

torch doesn't load without them, and they are four gigabytes. A stand-in has the library's name, the version of its
symbols and one function for each symbol that torch refers to, which says its name and fails.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from cudasim.making import compiler, elf

#: The simulator itself.
SIMULATED = {"libcudart.so.13", "libcuda.so.1"}

#: What every system has, or torch's wheel itself.
SYSTEM = re.compile(r"(lib(c|m|dl|rt|util|pthread|gcc_s|stdc\+\+|z)|ld-linux.*)\.so")

#: The libraries whose symbols have no version, by what their functions' names begin with.
UNVERSIONED = {
    "cuFile": "libcufile.so.",
    "cusparseLt": "libcusparseLt.so.",
    "nccl": "libnccl.so.",
    "pnccl": "libnccl.so.",
}

#: Functions that give a text, which their callers read without asking.
TEXT = re.compile(r"(Error|Status|Result)(String|Name)|GetErrorString")

FUNCTION = """
int {name}(void)
{{
    fprintf(stderr, "cudasim: {name} of {library} is not simulated\\n");
    return 1;
}}
"""
#: What a runtime that is itself a stand-in answers, without a word, where torch is loaded and looks for devices.
ANSWERS = {
    re.compile(r"__cuda(Reg|Unreg)ister"): 0,
    re.compile(r"cudaGetDeviceCount$"): 100,  # cudaErrorNoDevice
    re.compile(r"cuda(Get|PeekAt)LastError$"): 0,
}

ANSWER_FUNCTION = """
long {name}(void)
{{
    return {answer};
}}
"""
TEXT_FUNCTION = """
const char *{name}(void)
{{
    return "not simulated by cudasim";
}}
"""


def text(library: str, names: list[str]) -> str:
    """The C source of a stand-in."""
    return "#include <stdio.h>\n" + "".join(function(library, name) for name in names)


def function(library: str, name: str) -> str:
    """The C source of one function of a stand-in."""
    for pattern, answer in ANSWERS.items():
        if pattern.match(name):
            return ANSWER_FUNCTION.format(name=name, answer=answer)
    return (TEXT_FUNCTION if TEXT.search(name) else FUNCTION).format(name=name, library=library)


def wanted(paths: list[Path], simulated: set[str]) -> tuple[dict[str, set[elf.Symbol]], set[str]]:
    """The libraries that `paths` need and that nobody has, with the symbols of each; and the runtime's symbols."""
    read = [elf.read(path) for path in paths]
    own = {path.name for path in paths}
    named = {name for library in read for name in library.needed} - own - simulated
    missing = {name: set[elf.Symbol]() for name in named if not SYSTEM.match(name)}
    runtime: set[str] = set()
    for library in read:
        for symbol in library.undefined:
            origin = library.versions.get(symbol.version)
            if origin is None and not symbol.version:
                prefix = next((p for p in UNVERSIONED if re.match(rf"{p}[A-Z]", symbol.name)), None)
                origin = next((name for name in missing if prefix and name.startswith(UNVERSIONED[prefix])), None)
            if origin in missing:
                missing[origin].add(symbol)
            elif origin == "libcudart.so.13":
                runtime.add(symbol.name)
    return missing, runtime


def build(torch: Path, folder: Path, simulated: set[str] = SIMULATED) -> None:
    """Make the stand-ins for torch's libraries in `torch`, and the list of the runtime functions that they refer to.

    With a smaller set of `simulated` libraries the others have stand-ins too: such a torch finds no device.
    """
    folder.mkdir(parents=True)
    missing, runtime = wanted(sorted(torch.glob("*.so*")), simulated)
    for library, symbols in sorted(missing.items()):
        by_version: defaultdict[str, list[str]] = defaultdict(list)
        for symbol in sorted(symbols):
            by_version[symbol.version].append(symbol.name)
        script = "".join(
            f"{version} {{ global: {'; '.join(names)}; }};\n" for version, names in by_version.items() if version
        )
        source = text(library, sorted(symbol.name for symbol in symbols))
        compiler.stand_in(source, script, folder / library)
    (folder / "runtime.txt").write_text("\n".join(sorted(runtime)) + "\n", encoding="utf-8")
