"""Design + Scenario -> Program: flat arrays for the engine."""
