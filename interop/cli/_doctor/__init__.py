"""The parts of ``interop doctor``: looking in processes of its own, the findings as data, and their printing."""
