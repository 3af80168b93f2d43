"""Vectors of 16 numbers in compiled loops, and the product of bf16 matrices on processors with AVX-512 and bf16 instructions.

numba has scalars and arrays alone; what is here adds a register of 16 float32 and one of 16 uint32, each of which holds two
bf16 (the first in the lower half), and the instruction `vdpbf16ps`, which adds 32 products of bf16 to 16 sums of float32.
Indices count elements of flat arrays.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

llvm.initialize_native_asmparser()  # for inline assembly, which numba itself has none of

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLOATS, _WORDS, _BYTES = ir.VectorType(_F32, 16), ir.VectorType(_I32, 16), ir.VectorType(ir.IntType(8), 16)
_HALVES = ir.VectorType(ir.IntType(16), 32)
_ROWS, _LANES = 8, 16


class _Vector(types.Type):
    pass


FLOATS, WORDS = _Vector("float32x16"), _Vector("uint32x16")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, _FLOATS if of is FLOATS else _WORDS)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Any) -> Any:
    """Pointer to a vector in a flat array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _words(value: int) -> Any:
    return ir.Constant(_WORDS, [value] * _LANES)


def _floats(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * _LANES)


def _broadcast(builder: Any, scalar: Any, vector: Any) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), _words(0))


def _loads(result: Any, vector: Any) -> Any:
    def typed(_context: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(_at(context, builder, signature.args[0], args[0], args[1], vector), align=4)

        return result(array, types.intp), code

    return typed


def _stores(vector: Any) -> Any:
    def typed(_context: Any, array: Any, index: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.store(args[2], _at(context, builder, signature.args[0], args[0], args[1], vector), align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, value), code

    return typed


def _of_vectors(result: Any, n: int, made: Any, *, of: Any = FLOATS) -> Any:
    """An intrinsic of n vectors, from a function of a builder and their values."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return made(builder, *args)

    if n == 1:
        return intrinsic(lambda _context, a: (result(of), code))
    if n == 2:
        return intrinsic(lambda _context, a, b: (result(of, of), code))
    return intrinsic(lambda _context, a, b, c: (result(of, of, of), code))


def _reduced(combine: Any) -> Any:
    def made(builder: Any, x: Any) -> Any:
        for step in (8, 4, 2, 1):
            other = ir.Constant(_WORDS, [(i + step) % _LANES for i in range(_LANES)])
            x = combine(builder, x, builder.shuffle_vector(x, x, other))
        return builder.extract_element(x, ir.Constant(_I32, 0))

    return made


def _max(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def _exp2(builder: Any, x: Any) -> Any:
    """2^x for x ≤ 0, to 5e-5 of it, a tenth of what bf16 rounds off; 0 below −125."""
    magic = _floats(12582912.0)  # 1.5 × 2^23: adding it rounds to whole numbers, which stand in the lowest bits
    least = _floats(-125.0)
    tiny = builder.fcmp_ordered("<", x, least)  # false of NaN, which stays NaN
    held = builder.select(tiny, least, x)
    shifted = builder.fadd(held, magic)
    part = builder.fsub(held, builder.fsub(shifted, magic))
    value = _floats(9.618437357674640e-3)
    for factor in (5.550332471162809e-2, 2.402264791363012e-1, 6.931472028550421e-1, 1.0):
        value = _multiply_add(builder, value, part, _floats(factor))
    exponent = builder.sub(builder.bitcast(shifted, _WORDS), _words(0x4B400000 - 127))
    power = builder.bitcast(builder.shl(exponent, _words(23)), _FLOATS)
    return builder.select(tiny, _floats(0.0), builder.fmul(value, power))


def _neighbours(builder: Any, a: Any, b: Any) -> Any:
    """The 32 numbers of a and then b as bf16: words of two that follow one another."""
    kind = ir.FunctionType(_WORDS, [_FLOATS, _FLOATS])
    return builder.call(ir.InlineAsm(kind, "vcvtne2ps2bf16 $1, $2, $0", "=v,v,v", False), [a, b])


def _pairs(builder: Any, a: Any, b: Any) -> Any:
    """16 words, each of one number of a and one of b."""
    half = builder.bitcast(_neighbours(builder, a, b), _HALVES)
    order = [i // 2 + _LANES * (i % 2) for i in range(2 * _LANES)]
    mixed = builder.shuffle_vector(half, half, ir.Constant(ir.VectorType(_I32, 2 * _LANES), order))
    return builder.bitcast(mixed, _WORDS)


def _interleaved(first: int) -> Any:
    """16 words of two numbers each: the `first`-th to the `first` + 15-th of the 32 bf16 of a, each with that of b behind it."""

    def made(builder: Any, a: Any, b: Any) -> Any:
        order = [first + i // 2 + 2 * _LANES * (i % 2) for i in range(2 * _LANES)]
        halves = builder.bitcast(a, _HALVES), builder.bitcast(b, _HALVES)
        return builder.bitcast(builder.shuffle_vector(*halves, ir.Constant(ir.VectorType(_I32, 32), order)), _WORDS)

    return made


def _sigmoid(builder: Any, x: Any) -> Any:
    """1 / (1 + e^−x), with no exponential above 1."""
    negative = builder.fcmp_ordered("<", x, _floats(0.0))
    small = _exp2(builder, builder.fmul(builder.select(negative, x, builder.fneg(x)), _floats(1.4426950408889634)))
    return builder.fdiv(builder.select(negative, small, _floats(1.0)), builder.fadd(small, _floats(1.0)))


def _low(builder: Any, x: Any) -> Any:
    return builder.bitcast(builder.shl(x, _words(16)), _FLOATS)


def _high(builder: Any, x: Any) -> Any:
    return builder.bitcast(builder.and_(x, _words(0xFFFF0000)), _FLOATS)


load = intrinsic(_loads(FLOATS, _FLOATS))
load_words = intrinsic(_loads(WORDS, _WORDS))
store = intrinsic(_stores(_FLOATS))
store_words = intrinsic(_stores(_WORDS))
add = _of_vectors(FLOATS, 2, lambda builder, a, b: builder.fadd(a, b))
subtract = _of_vectors(FLOATS, 2, lambda builder, a, b: builder.fsub(a, b))
multiply = _of_vectors(FLOATS, 2, lambda builder, a, b: builder.fmul(a, b))
multiply_add = _of_vectors(FLOATS, 3, _multiply_add)
sigmoid = _of_vectors(FLOATS, 1, _sigmoid)
maximum = _of_vectors(FLOATS, 2, _max)
exp2 = _of_vectors(FLOATS, 1, _exp2)
largest = _of_vectors(types.float32, 1, _reduced(_max))
total = _of_vectors(types.float32, 1, _reduced(lambda builder, a, b: builder.fadd(a, b)))
pairs = _of_vectors(WORDS, 2, _pairs)
neighbours = _of_vectors(WORDS, 2, _neighbours)
interleaved_first = _of_vectors(WORDS, 2, _interleaved(0), of=WORDS)
interleaved_last = _of_vectors(WORDS, 2, _interleaved(_LANES), of=WORDS)


@intrinsic
def transpose_16x16(_context: Any, x: Any, x0: Any, x_row: Any, out: Any, out0: Any, out_row: Any) -> Any:
    """A block (16, 16) of words or floats, transposed; each matrix is given as in `product_8x32`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _FLOATS if signature.args[0].dtype == types.float32 else _WORDS
        places = [
            [
                _at(
                    context,
                    builder,
                    signature.args[i],
                    array,
                    builder.add(at, builder.mul(row, ir.Constant(_I64, r))),
                    vector,
                )
                for r in range(_LANES)
            ]
            for i, array, at, row in ((0, *args[:3]), (3, *args[3:]))
        ]
        rows = [builder.load(place, align=4) for place in places[0]]
        for size in (
            8,
            4,
            2,
            1,
        ):  # in each block (2 · size, 2 · size), the upper right quarter changes with the lower left
            upper = ir.Constant(_WORDS, [j if not j & size else _LANES + j - size for j in range(_LANES)])
            lower = ir.Constant(_WORDS, [j + size if not j & size else _LANES + j for j in range(_LANES)])
            for r in (r for r in range(_LANES) if not r & size):
                a, b = rows[r], rows[r + size]
                rows[r], rows[r + size] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
        for place, row in zip(places[1], rows, strict=True):
            builder.store(row, place, align=4)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, out, n, n), code


@intrinsic
def load_half(_context: Any, array: Any, index: Any) -> Any:
    """16 bf16 as float32, from words; the index counts bf16."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = builder.zext(builder.load(_half_at(context, builder, signature.args[0], *args), align=2), _WORDS)
        return builder.bitcast(builder.shl(whole, _words(16)), _FLOATS)

    return FLOATS(array, types.intp), code


@intrinsic
def store_half(_context: Any, array: Any, index: Any, value: Any) -> Any:
    """16 numbers as bf16, into words; the index counts bf16."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        both = builder.bitcast(_neighbours(builder, args[2], args[2]), _HALVES)
        kept = builder.shuffle_vector(both, both, ir.Constant(_WORDS, list(range(_LANES))))
        builder.store(kept, _half_at(context, builder, signature.args[0], args[0], args[1]), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


def _half_at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to 16 bf16 in a flat array of words, the index counting bf16."""
    half = ir.IntType(16)
    data = builder.bitcast(context.make_array(kind)(context, builder, array).data, half.as_pointer())
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(half, _LANES).as_pointer())


@intrinsic
def splat(_context: Any, value: Any) -> Any:
    """A float32 in all 16 places."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _broadcast(builder, args[0], _FLOATS)

    return FLOATS(types.float32), code


@intrinsic
def low(_context: Any, words: Any) -> Any:
    """The first bf16 of each word, as float32."""
    return FLOATS(WORDS), lambda _context, builder, _signature, args: _low(builder, args[0])


@intrinsic
def high(_context: Any, words: Any) -> Any:
    """The second bf16 of each word, as float32."""
    return FLOATS(WORDS), lambda _context, builder, _signature, args: _high(builder, args[0])


@intrinsic
def where_shown(_context: Any, values: Any, mask: Any, index: Any) -> Any:
    """The values where 16 bytes of a mask are not 0, else −inf."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        shown = builder.load(_at(context, builder, signature.args[1], args[1], args[2], _BYTES), align=1)
        open_ = builder.icmp_unsigned("!=", shown, ir.Constant(_BYTES, [0] * _LANES))
        return builder.select(open_, args[0], _floats(float("-inf")))

    return FLOATS(FLOATS, mask, types.intp), code


@intrinsic
def first_of(_context: Any, values: Any, n: Any) -> Any:
    """The first n values, −inf behind them; n may be any number."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        lane = ir.Constant(_WORDS, list(range(_LANES)))
        limit = _broadcast(builder, builder.trunc(args[1], _I32), _WORDS)
        return builder.select(builder.icmp_signed("<", lane, limit), args[0], _floats(float("-inf")))

    return FLOATS(FLOATS, types.intp), code


@intrinsic
def product_8x32(
    _context: Any,
    a: Any,
    a0: Any,
    a_row: Any,
    b: Any,
    b0: Any,
    b_row: Any,
    c: Any,
    c0: Any,
    c_row: Any,
    k: Any,
    add: Any,
) -> Any:
    """C (8, 32) = A (8, 2k) · B (2k, 32), added to what C holds where `add`.

    A's words pair neighbours of a row, B's pair two rows that follow one another. Each matrix is given by a flat array, where
    it begins, and how many elements lie between the beginnings of two rows.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, a0, a_row, b, b0, b_row, c, c0, c_row, k, add = args
        data = [context.make_array(signature.args[i])(context, builder, x).data for i, x in ((0, a), (3, b), (6, c))]
        number = lambda x: ir.Constant(_I64, x)  # noqa: E731
        rows = [builder.gep(data[0], [builder.add(a0, builder.mul(a_row, number(i)))]) for i in range(_ROWS)]
        places = [
            builder.bitcast(
                builder.gep(data[2], [builder.add(builder.add(c0, builder.mul(c_row, number(i))), number(_LANES * j))]),
                _FLOATS.as_pointer(),
            )
            for i in range(_ROWS)
            for j in range(2)
        ]
        entry, loading = builder.block, builder.append_basic_block("loading")
        loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.cbranch(add, loading, loop)
        builder.position_at_end(loading)
        held = [builder.load(place, align=4) for place in places]
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_I64)
        sums = [builder.phi(_FLOATS) for _ in places]
        for block, values in ((entry, [ir.Constant(_FLOATS, None)] * len(places)), (loading, held)):
            step.add_incoming(number(0), block)
            for x, value in zip(sums, values, strict=True):
                x.add_incoming(value, block)
        row = builder.gep(data[1], [builder.add(b0, builder.mul(b_row, step))])
        right = [
            builder.load(builder.bitcast(builder.gep(row, [number(_LANES * j)]), _WORDS.as_pointer()), align=4)
            for j in range(2)
        ]
        dot = ir.InlineAsm(
            ir.FunctionType(_FLOATS, [_FLOATS, _WORDS, _WORDS]), "vdpbf16ps $3, $2, $0", "=v,0,v,v", False
        )
        out = []
        for i in range(_ROWS):
            left = _broadcast(builder, builder.load(builder.gep(rows[i], [step]), align=4), _WORDS)
            out += [builder.call(dot, [sums[2 * i + j], left, right[j]]) for j in range(2)]
        following = builder.add(step, number(1))
        step.add_incoming(following, loop)
        for x, value in zip(sums, out, strict=True):
            x.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, k), loop, done)
        builder.position_at_end(done)
        for place, value in zip(places, out, strict=True):
            builder.store(value, place, align=4)
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, n, b, n, n, c, n, n, n, types.boolean), code
