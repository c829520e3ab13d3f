"""One file a framework: what is special about it is known here. Loaded by the registry, when the framework is there."""
