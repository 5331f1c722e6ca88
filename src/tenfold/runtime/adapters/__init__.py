"""Pipelines at the edges of a service: the HTTP client it calls with, the ASGI server it is called through."""
