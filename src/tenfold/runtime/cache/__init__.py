"""The cache for services: freshness as it was simulated, over a store and a layer in the process."""
