"""What several adapters share: they name no framework."""
