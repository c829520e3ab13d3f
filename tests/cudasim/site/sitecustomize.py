"""Python imports this at its start in a process that was started with `cudasim.environment()`."""

from cudasim.boot import boot_from_environment

boot_from_environment()
