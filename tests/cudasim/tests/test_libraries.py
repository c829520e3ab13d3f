"""Making the libraries: once, whole or not at all, and anew when what they are made from changes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cudasim import headers, installation, libraries
from cudasim.making import compiler, elf, standins
from cudasim.versions import requirements, versions


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUDASIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_table_names_an_exact_version_of_everything() -> None:
    table = versions()
    for part in (table.frameworks, table.packages, table.build, table.headers):
        assert all("==" in each and each.rpartition("==")[2][0].isdigit() for each in requirements(part))
    assert table.cupy == table.frameworks["cupy-cuda13x"]
    assert table.cuda_number == 13000


def test_a_part_is_made_once(cache: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        made.append(folder)

    assert libraries.part("thing", "1", make) == libraries.part("thing", "1", make) == cache / "thing-1"
    libraries.part("thing", "2", make)
    assert len(made) == 2


def test_a_part_that_fails_half_way_is_made_anew(cache: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise compiler.CompilerError

    with pytest.raises(compiler.CompilerError):
        libraries.part("thing", "1", fail)
    whole = libraries.part("thing", "1", lambda folder: folder.mkdir())
    assert list(whole.iterdir()) == []


def test_several_at_once_make_a_part_once(cache: Path) -> None:
    made: list[Path] = []
    start = threading.Barrier(4)

    def make(folder: Path) -> None:
        folder.mkdir()
        made.append(folder)

    def want() -> None:
        start.wait()
        libraries.part("thing", "1", make)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_change_of_one_byte_is_another_part(tmp_path: Path) -> None:
    file = tmp_path / "file.c"
    file.write_text("int x = 1;")
    before = libraries.digest([file])
    file.write_text("int x = 2;")
    assert libraries.digest([file]) != before


def test_what_the_compiler_says_is_in_the_error() -> None:
    with pytest.raises(compiler.CompilerError, match="this is no C"):
        compiler.stand_in("this is no C", "", Path("never.so"))


def test_a_missing_compiler_is_named() -> None:
    with pytest.raises(compiler.CompilerError, match="no-such-compiler isn't here"):
        compiler.run(["no-such-compiler"])


def test_a_stand_in_defines_what_was_missing_under_its_version(tmp_path: Path) -> None:
    thing, user = tmp_path / "libthing.so.1", tmp_path / "libuser.so"
    compiler.stand_in(standins.text(thing.name, ["thing_do"]), "THING { global: thing_do; };", thing)
    assert elf.defined(thing) == {"thing_do"}
    code = tmp_path / "user.c"
    code.write_text("int thing_do(void); int use(void) { return thing_do(); }")
    compiler.run([*compiler.CC, "-shared", "-fPIC", str(code), str(thing), "-o", str(user)])
    read = elf.read(user)
    assert "libthing.so.1" in read.needed
    assert read.versions["THING"] == "libthing.so.1"
    assert elf.Symbol("thing_do", "THING") in read.undefined


def test_a_runtime_that_is_a_stand_in_has_no_device_and_says_nothing() -> None:
    quiet = standins.text(
        "libcudart.so.12", ["__cudaRegisterFunction", "__cudaUnregisterFatBinary", "cudaGetLastError"]
    )
    assert "is not simulated" not in quiet
    assert "return 100;" in standins.text("libcudart.so.12", ["cudaGetDeviceCount"])
    assert "is not simulated" in standins.text("libcudart.so.12", ["cudaMalloc"])


def test_headers_of_another_version_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "crt").mkdir()
    for name in ("cuda_runtime_api.h", "crt/host_defines.h"):
        (tmp_path / name).touch()
    (tmp_path / "cuda.h").write_text("#define CUDA_VERSION 13000\n")
    assert headers.fits(tmp_path)
    (tmp_path / "cuda.h").write_text("#define CUDA_VERSION 12040\n")
    assert not headers.fits(tmp_path)
    assert not headers.fits(tmp_path / "nowhere")


def test_a_folder_with_something_else_is_never_cleared(tmp_path: Path) -> None:
    (tmp_path / "work").touch()
    with pytest.raises(installation.InstallationError, match="is no virtual environment: choose another folder"):
        installation.make(tmp_path)
    assert (tmp_path / "work").exists()


def test_another_cupy_is_refused_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_version.py").write_text("__version__ = '13.6.0'\n")
    monkeypatch.setattr(libraries, "installed", lambda _name: tmp_path)
    with pytest.raises(libraries.LibrariesError, match=r"cupy 13\.6\.0 is installed .* is for cupy 14\.2\.0"):
        libraries.runtime_of_cupy()


def test_each_name_of_cuda_that_torch_needs_is_there() -> None:
    found = libraries.libraries()
    runtime = elf.defined(found.device[0])
    needed = (found.standins[0].parent / "runtime.txt").read_text(encoding="utf-8").split()
    assert needed
    assert set(needed) <= runtime
