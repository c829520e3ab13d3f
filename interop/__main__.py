"""``python -m interop``: the command ``interop``."""

from interop.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
