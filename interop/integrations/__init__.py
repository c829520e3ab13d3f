"""Engines that move tensors between processes, one module each; none imports its engine before it is asked.

What a module registers it registers when its ``register()`` is called, and takes back in ``unregister()``.
"""
