"""How long the tests wait for processes that they start."""

from __future__ import annotations

#: Seconds after which a process that a test started counts as hung. It measures nothing: importing a framework for the
#: first time takes minutes on a machine that is busy with others.
PATIENCE = 900.0
