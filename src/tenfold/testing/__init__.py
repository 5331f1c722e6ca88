"""Virtual clock and loaded dice, for our tests and for yours."""

from tenfold.testing.world import World

__all__ = ["World"]
