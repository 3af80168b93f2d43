"""Products of numbers and rows of a small matrix, as vector instructions, for compiled loops to call.

LLVM makes of them what the CPU has: one instruction for sixteen numbers, or two for eight each. In a loop that is written out it
would first have to show that what is written is not what is read, each time that the loop begins.
"""

from collections.abc import Callable
from typing import Any

from analysis.compiled import CompiledBy

VECTOR = 16
"""Numbers of a vector, float32."""


def vector_product(*, inputs: int, lanes: int, rows: int = 1, half: bool = False) -> CompiledBy:
    """A function for compiled loops that adds x · w, (rows, inputs) · (inputs, lanes), to `out` (rows, lanes), all float32.

    It is called as product(out, out_at, out_stride, x, x_at, x_stride, w, w_at, blocks): flat positions in contiguous arrays of
    any shape, what lies between two rows, and for how many blocks of inputs of x and w, which lie side by side.

    Args:
        lanes: a multiple of VECTOR.
        half: w is of bfloat16, a word of uint32 for two inputs at one lane, the earlier one in its lower half.
    """
    return CompiledBy(lambda: _intrinsic(inputs, lanes, rows, half=half))


def _intrinsic(inputs: int, lanes: int, rows: int, *, half: bool) -> Callable[..., Any]:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    number, word = ir.FloatType(), ir.IntType(32)
    numbers, words = ir.VectorType(number, VECTOR), ir.VectorType(word, VECTOR)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(k: int) -> Any:
            return context.make_array(signature.args[k])(context, builder, arguments[k]).data

        def pointer(base: Any, at: Any, kind: Any) -> Any:
            moved = builder.gep(builder.bitcast(base, ir.PointerType(kind.element)), [at])
            return builder.bitcast(moved, ir.PointerType(kind))

        def place(at: Any, stride: Any, row: int, column: int) -> Any:
            start = builder.add(at, builder.mul(stride, at.type(row)))
            return builder.add(start, at.type(column))

        def spread(x: Any) -> Any:
            one = builder.insert_element(ir.Constant(numbers, ir.Undefined), x, word(0))
            return builder.shuffle_vector(one, one, ir.Constant(words, [0] * VECTOR))

        _, out_at, out_stride, _, x_at, x_stride, _, w_at, blocks = arguments
        out, x, w = data(0), data(3), data(6)
        fused = ("contract",)
        vectors = range(lanes // VECTOR)
        targets = [
            [pointer(out, place(out_at, out_stride, r, v * VECTOR), numbers) for v in vectors] for r in range(rows)
        ]
        ways = max(1, 8 // (rows * len(vectors)))  # sums that stand alone, since each waits for its last
        zero = ir.Constant(numbers, [0.0] * VECTOR)
        sums = [[[builder.load(target, align=4) for target in row] for row in targets]]
        sums += [[[zero] * len(vectors) for _ in range(rows)] for _ in range(1, ways)]
        held = [[[cgutils.alloca_once_value(builder, x) for x in row] for row in way] for way in sums]  # type: ignore[no-untyped-call,unused-ignore]
        shift, high = ir.Constant(words, [16] * VECTOR), ir.Constant(words, [0xFFFF0000] * VECTOR)
        with cgutils.for_range(builder, blocks) as loop:
            x_now = builder.add(x_at, builder.mul(loop.index, x_at.type(inputs)))
            w_now = builder.add(w_at, builder.mul(loop.index, w_at.type(inputs * lanes // (2 if half else 1))))
            sums = [[[builder.load(x) for x in row] for row in way] for way in held]
            for i in range(0, inputs, 2):
                factors = [
                    [spread(builder.load(builder.gep(x, [place(x_now, x_stride, r, i + k)]))) for r in range(rows)]
                    for k in (0, 1)
                ]
                for v in vectors:
                    if half:
                        at = builder.add(w_now, w_at.type(i // 2 * lanes + v * VECTOR))
                        pair = builder.load(pointer(w, at, words), align=4)
                        weights = [
                            builder.bitcast(x, numbers) for x in (builder.shl(pair, shift), builder.and_(pair, high))
                        ]
                    else:
                        at = [builder.add(w_now, w_at.type((i + k) * lanes + v * VECTOR)) for k in (0, 1)]
                        weights = [builder.load(pointer(w, one, numbers), align=4) for one in at]
                    for k in (0, 1):
                        of_way = sums[(i + k) % ways]
                        for r in range(rows):
                            product = builder.fmul(factors[k][r], weights[k], flags=fused)
                            of_way[r][v] = builder.fadd(of_way[r][v], product, flags=fused)
            for way, of_way in zip(held, sums, strict=True):
                for row, of_row in zip(way, of_way, strict=True):
                    for address, total in zip(row, of_row, strict=True):
                        builder.store(total, address)
        for r in range(rows):
            for v in vectors:
                total = builder.load(held[0][r][v])
                for way in held[1:]:
                    total = builder.fadd(total, builder.load(way[r][v]))
                builder.store(total, targets[r][v], align=4)
        return context.get_dummy_value()

    @intrinsic
    def product(
        _: Any,
        out: Any,
        _out_at: Any,
        _out_stride: Any,
        x: Any,
        _x_at: Any,
        _x_stride: Any,
        w: Any,
        _w_at: Any,
        _blocks: Any,
    ) -> Any:
        place = types.intp
        return types.void(out, place, place, x, place, place, w, place, place), code

    return product
