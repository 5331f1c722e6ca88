"""A function that remembers: its arguments make the key."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast

from tenfold.errors import UsageError
from tenfold.runtime.cache.views import Loader

P = ParamSpec("P")
T = TypeVar("T")

PLAIN = (str, int, bool, type(None))
"""Types whose text tells equal values from different ones."""

Get = Callable[[str, Loader], Awaitable[Any]]
Invalidate = Callable[[str], Awaitable[None]]


class Memoized(Generic[P, T]):
    """An async function whose answers are cached.

    Args:
        fn: the function.
        key: a template over its arguments ("user:{user_id}"), or a function of them; None: its name and its
            arguments, which must be strings, whole numbers, switches or None then.
        get, invalidate: of the cache.
    """

    def __init__(
        self, fn: Callable[P, Awaitable[T]], key: str | Callable[P, str] | None, get: Get, invalidate: Invalidate
    ) -> None:
        self.__wrapped__ = fn
        self.__doc__ = fn.__doc__
        self._name = f"{fn.__module__}.{fn.__qualname__}"
        self._signature = inspect.signature(fn)
        self._key = key
        self._get = get
        self._invalidate = invalidate

    def __repr__(self) -> str:
        return f"<memoized {self._name}>"

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The cached answer, or the function's."""
        found = await self._get(self.key(*args, **kwargs), lambda _: self.__wrapped__(*args, **kwargs))
        return cast(T, found)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the answer for these arguments."""
        await self._invalidate(self.key(*args, **kwargs))

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of these arguments.

        Raises:
            UsageError: there is no template, and an argument's text does not tell it from others.
        """
        if callable(self._key):
            return self._key(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self._key is not None:
            return self._key.format(**bound.arguments)
        for name, value in bound.arguments.items():
            if type(value) not in PLAIN:
                raise UsageError(
                    f"{self._name}: argument {name} is a {type(value).__name__}: its text makes no key",
                    'give memoize a key, as in memoize(key="user:{user.id}")',
                )
        return f"{self._name}:" + ",".join(repr(value) for value in bound.arguments.values())
