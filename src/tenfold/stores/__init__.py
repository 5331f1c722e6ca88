"""Where cached values and leases really live: one module per backend."""
