"""Ask memory for a row before it is needed: a table larger than the processor's caches costs 100 ns for every look."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_LINE = 64
_READ, _KEEP, _NO_CODE = 0, 3, 1
"""Operands of LLVM's prefetch: for reading, into all caches, data rather than code."""


def _prefetch(typing: Any, array: Any, row: Any) -> Any:
    return types.void(array, types.intp), _emit


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    byte = ir.IntType(8).as_pointer()
    size = context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    word = context.get_value_type(types.intp)
    address = builder.add(builder.ptrtoint(array.data, word), builder.mul(arguments[1], word(size)))
    number = ir.IntType(32)
    shape = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    hint = builder.module.declare_intrinsic("llvm.prefetch", [byte], shape)
    for offset in (0, min(_LINE, size - 1)):  # a row shorter than a line may stand in two
        place = builder.inttoptr(builder.add(address, word(offset)), byte)
        builder.call(hint, [place, number(_READ), number(_KEEP), number(_NO_CODE)])
    return context.get_dummy_value()


prefetch: Any = intrinsic(_prefetch)
"""`prefetch(array, row)`: begin to fetch the first two cache lines of a row. Only a hint: any row number is allowed."""
