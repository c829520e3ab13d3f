"""Which adapters there are, built-in, registered or offered by a package, and whose a type or a name is."""
