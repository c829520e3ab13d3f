"""The tensor that rows write into, in a module of its own: torch is imported for the rows that name it."""

from __future__ import annotations

from typing import Final

import torch

a_tensor: Final = torch.zeros(3, 4)
