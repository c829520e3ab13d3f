"""Code that takes whatever array its caller has: trees, the decorator, namespaces."""
