"""One file a framework: the only place that names it. Loaded by the registry, when the framework is there."""
