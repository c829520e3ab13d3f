"""The simulated device under several threads, watched by the thread sanitizer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cudasim.libraries import HERE, headers_folder


def has_thread_sanitizer() -> bool:
    asked = ["gcc", "-print-file-name=libtsan.so"]
    return Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()).is_absolute()


@pytest.mark.slow
def test_threads_do_not_race_in_the_simulator_itself(tmp_path: Path) -> None:
    if not has_thread_sanitizer():
        pytest.skip("gcc has no thread sanitizer here")
    command = ["make", "-C", str(HERE / "stress"), f"OUT={tmp_path}", f"CUDA_INCLUDE={headers_folder()}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "ThreadSanitizer" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rounds each") == 3
