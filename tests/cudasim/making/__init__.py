"""Making the shared libraries of the simulated device: nothing here is loaded once they are made."""
