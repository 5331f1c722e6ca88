"""Virtual clock and loaded dice, for our tests and for yours."""
