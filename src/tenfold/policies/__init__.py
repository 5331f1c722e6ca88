"""Sans-IO resilience policies: told the time and the dice, never ask. Standard library only."""
