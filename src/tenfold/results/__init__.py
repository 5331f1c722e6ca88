"""One Run schema, simulated or drilled."""
