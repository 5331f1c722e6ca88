"""Puts this folder on the path, so that tests share builders: `from runs import STUCK`."""
