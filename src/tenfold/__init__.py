"""Tenfold: describe a backend in one file, size it, break it in simulation, ship the same policies."""

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "CallRejected",
    "DesignError",
    "Pipeline",
    "ThreadPipeline",
    "UsageError",
    "__version__",
    "compare",
    "explain",
    "load",
    "new",
    "saved",
    "schema",
    "simulate",
    "simulate_many",
    "size",
    "within",
]

_ELSEWHERE = {
    "Cache": "tenfold.runtime.cache.cache",
    "CallRejected": "tenfold.errors",
    "DesignError": "tenfold.errors",
    "Pipeline": "tenfold.runtime.pipeline",
    "ThreadPipeline": "tenfold.runtime.threads",
    "UsageError": "tenfold.errors",
    "within": "tenfold.runtime.attempt",
}
"""Names that do not come from `tenfold.api`."""


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for (PEP 562): importing the package itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'tenfold' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE.get(name, "tenfold.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
