"""A request that is sent twice takes effect once: claims, answers that are kept, ASGI and functions around them."""
