"""What runs a plan: recipes, compiled once for each kind of array."""
