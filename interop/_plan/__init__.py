"""From a request to a plan: what is needed, what can't be, what is done. It looks at data only and touches no array."""
