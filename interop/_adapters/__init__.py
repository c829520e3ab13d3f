"""One file a framework: what is special about it is known here. Loaded by the registry, when the framework is there.

Elsewhere a framework's name stands in the registry's table, in its door (``to_jax``) and in type hints.
"""
