"""The design linter."""
