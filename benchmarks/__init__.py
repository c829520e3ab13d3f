"""What a handoff costs: `python -m benchmarks` times every call beside the calls a user would make instead.

The comparisons are the table in `rows.py`, the promises those in `budgets.toml`.
"""
