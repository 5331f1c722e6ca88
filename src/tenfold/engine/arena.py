"""An arena: many arrays behind one pointer, so that compiled functions pass it for the price of an integer.

A named tuple of fifty arrays costs Numba some 350 arguments for every call: minutes of compilation and slow calls. Here
`arena.tasks` reads address and shape from a table when compiled, and is the plain NumPy array when interpreted. Which
arrays an arena may hold, their row types and dimensions are fixed by `declare`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np import numpy_support
from numba.np.arrayobj import populate_array

_WORDS = 4
"""Words of one array in the table: its address and up to three lengths."""

_DECLARED: dict[str, types.Array] = {}
_PLACE: dict[str, int] = {}


def declare(arrays: Mapping[str, tuple[np.dtype[Any], int]]) -> None:
    """Fix which arrays an arena has: name -> (row type, dimensions)."""
    for name, (dtype, dimensions) in arrays.items():
        _PLACE[name] = len(_DECLARED)
        _DECLARED[name] = types.Array(numpy_support.from_dtype(dtype), dimensions, "C")


def declared_text() -> str:
    """All declared arrays as text: what compiled code knows of their rows."""
    return "; ".join(f"{name}: {array}" for name, array in _DECLARED.items())


class Arena:
    """Named C-contiguous arrays. Compiled code must not outlive it; it keeps the arrays alive."""

    def __init__(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        assert set(arrays) == set(_DECLARED), set(arrays) ^ set(_DECLARED)
        self._arrays = dict(arrays)
        self._table = np.zeros(len(_DECLARED) * _WORDS, np.int64)
        self.refresh()

    def refresh(self) -> None:
        """Read addresses and lengths anew, after an array was resized."""
        for name, array in self._arrays.items():
            declared = _DECLARED[name]
            assert array.flags.c_contiguous, name
            assert array.ndim == declared.ndim, name
            assert numpy_support.from_dtype(array.dtype) == declared.dtype, name
            first = _PLACE[name] * _WORDS
            self._table[first] = array.ctypes.data
            self._table[first + 1 : first + 1 + array.ndim] = array.shape

    @property
    def address(self) -> int:
        """Where the table stands."""
        return int(self._table.ctypes.data)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_arrays"][name]
        except KeyError:
            raise AttributeError(name) from None


class ArenaType(types.Type):
    """Numba's type of an Arena."""

    def __init__(self) -> None:
        super().__init__(name="tenfold.Arena")


_ARENA = ArenaType()


@typeof_impl.register(Arena)
def _type_of(value: Arena, context: Any) -> ArenaType:
    return _ARENA


@register_model(ArenaType)
class _ArenaModel(models.PrimitiveModel):
    def __init__(self, manager: Any, arena: ArenaType) -> None:
        super().__init__(manager, arena, ir.IntType(64).as_pointer())


@unbox(ArenaType)
def _unbox(arena: ArenaType, value: Any, c: Any) -> NativeValue:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(c.builder.inttoptr(address, ir.IntType(64).as_pointer()))


@infer_getattr
class _ArenaAttributes(AttributeTemplate):
    key = ArenaType

    def generic_resolve(self, arena: Any, name: str) -> Any:  # type: ignore[override]
        return _DECLARED.get(name)


@lower_getattr_generic(ArenaType)
def _array_of(context: Any, builder: Any, arena: ArenaType, table: Any, name: str) -> Any:
    """Build the array's description from the table; LLVM drops what is not used."""
    kind = _DECLARED[name]
    first = _PLACE[name] * _WORDS

    def word(offset: int) -> Any:
        place = builder.gep(table, [ir.Constant(ir.IntType(64), first + offset)])
        loaded = builder.load(place)
        # The table does not change while compiled code runs: loads may be shared and moved out of loops.
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    lengths = [word(1 + dimension) for dimension in range(kind.ndim)]
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [context.get_constant(types.intp, size)]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = context.make_array(kind)(context, builder)
    populate_array(
        array,
        data=builder.inttoptr(word(0), context.get_data_type(kind.dtype).as_pointer()),
        shape=cgutils.pack_array(builder, lengths),
        strides=cgutils.pack_array(builder, strides),
        itemsize=context.get_constant(types.intp, size),
        meminfo=None,
    )
    return array._getvalue()
