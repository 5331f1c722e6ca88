"""Cache policies: one module each."""
