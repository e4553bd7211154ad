"""Torch operations that compute without weights: windows, reductions, functions of elements."""

import math
from typing import Any, Literal, cast

from mnaslat.graph import VALID, Kind, Padding
from mnaslat.graph.fusion import same_padding
from mnaslat.torch_import.strided_views import View
from mnaslat.torch_import.tracing import Call, Constant, Traced
from mnaslat.torch_import.translation import IMAGE_ORDER, Translation, pair_of, translates


@translates("max_pool2d_with_indices", "max_pool2d", "avg_pool2d")
def _pool(to: Translation, call: Call) -> bool:
    average = call.name == "avg_pool2d"
    image, kernel, stride, padding = call.args[:4]
    dilation = (1, 1) if average else pair_of(call.args[4])
    ceil, count_padding = (call.args[4], call.args[5]) if average else (call.args[5], False)
    window, steps, pads = pair_of(kernel), pair_of(stride or kernel), pair_of(padding)
    view = to.view(image)
    if view.sizes[0] != 1 or len(view.sizes) != 4 or (average and call.args[6] is not None):
        return False
    value = to.read(view, IMAGE_ORDER)
    shape = to.builder.shape(value)
    output = call.outputs[0]
    more = [0, 0]
    if ceil:  # windows may hang over below and to the right
        for axis in (0, 1):
            reach = (output.shape[2 + axis] - 1) * steps[axis] + dilation[axis] * (window[axis] - 1)
            more[axis] = max(0, reach + 1 - shape[axis] - 2 * pads[axis])
    around: Padding = (pads[0], pads[0] + more[0], pads[1], pads[1] + more[1])
    fields = {"kernel": window, "stride": steps, "dilation": dilation}
    exact_padding: Padding | Literal[""] = VALID
    if average:
        if count_padding and any(pads) and not any(more):
            value = to.padded(value, around, 0.0)
        elif same_padding(shape, window, steps, dilation, around):
            exact_padding = ""
        else:
            exact_padding = around
        value = to.add("avg_pool", value, padding=exact_padding, **fields)
    else:
        if same_padding(shape, window, steps, dilation, around):
            exact_padding = ""
        else:
            value = to.padded(value, around, -math.inf)
        value = to.add("max_pool", value, padding=exact_padding, **fields)
    return to.put(output, value, IMAGE_ORDER)


@translates("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    output = call.outputs[0]
    if view.sizes[0] != 1 or len(view.sizes) != 4:
        return False
    maximum = call.name == "adaptive_max_pool2d"
    sizes, wanted = view.sizes[2:], output.shape[2:]
    if sizes == wanted:
        return to.alias(output, view)
    if wanted == (1, 1):
        return to.alias(output, to.reduce("reduce_max" if maximum else "mean", view, (2, 3), True))
    if any(size % n for size, n in zip(sizes, wanted, strict=True)):
        return False  # windows of several sizes
    window = (sizes[0] // wanted[0], sizes[1] // wanted[1])
    value = to.read(view, IMAGE_ORDER)
    kind: Kind = "max_pool" if maximum else "avg_pool"
    return to.put(output, to.add(kind, value, kernel=window, stride=window), IMAGE_ORDER)


@translates("mean", "sum", "amax", "max")
def _reduction(to: Translation, call: Call) -> bool:
    image, *rest = call.args
    kinds: dict[str, Kind] = {
        "mean": "mean",
        "sum": "sum",
        "amax": "reduce_max",
        "max": "reduce_max",
    }
    if rest and isinstance(rest[0], Traced):
        return _two_tensors(to, call)
    dims = rest[0] if rest and rest[0] is not None else []
    dims = [dims] if isinstance(dims, int) else list(dims)
    keep = bool(rest[1]) if len(rest) > 1 else False
    view = to.reduce(kinds[call.name], to.view(image), dims, keep)
    for output in call.outputs:  # of max: values, then where they are
        to.alias(output, view)
    return True


@translates("var", "var_mean", "std")
def _variance(to: Translation, call: Call) -> bool:
    image, dims, _, keep = call.args[:4]
    view = to.view(image)
    dims = list(dims or [])
    mean = to.reduce("mean", view, dims, True)
    centred = to.pair("sub", view, mean, view.sizes)
    result = to.reduce("mean", to.elementwise(centred, "square"), dims, bool(keep))
    if call.name == "std":
        result = to.elementwise(result, "sqrt")
    to.alias(call.outputs[0], result)
    if call.name == "var_mean":
        mean = mean if keep else to.reduce("mean", view, dims, False)
        to.alias(call.outputs[1], mean)
    return True


@translates("linalg_vector_norm")
def _vector_norm(to: Translation, call: Call) -> bool:
    image, power, dims, keep = call.args[:4]
    if power != 2:
        return False
    squares = to.elementwise(to.view(image), "square")
    sums = to.reduce("sum", squares, list(dims or []), bool(keep))
    return to.alias(call.outputs[0], to.elementwise(sums, "sqrt"))


# --- Element by element -------------------------------------------------------------------------

_UNARY: dict[str, tuple[Kind, ...]] = {
    "relu": ("relu",),
    "relu6": ("relu6",),
    "leaky_relu": ("leaky_relu",),
    "elu": ("elu",),
    "gelu": ("gelu",),
    "hardswish": ("hard_swish",),
    "sigmoid": ("logistic",),
    "tanh": ("tanh",),
    "softplus": ("exp", "shift", "log"),
    "log_sigmoid_forward": ("logistic", "log"),
    "exp": ("exp",),
    "log": ("log",),
    "sqrt": ("sqrt",),
    "rsqrt": ("rsqrt",),
    "square": ("square",),
    "abs": ("abs",),
    "neg": ("neg",),
}


@translates(*_UNARY)
def _unary(to: Translation, call: Call) -> bool:
    return to.alias(call.outputs[0], to.elementwise(to.view(call.args[0]), *_UNARY[call.name]))


@translates("hardsigmoid")
def _hard_sigmoid(to: Translation, call: Call) -> bool:
    view = to.elementwise(to.view(call.args[0]), "shift", constant=3.0)
    view = to.elementwise(view, "relu6")
    return to.alias(call.outputs[0], to.elementwise(view, "scale", constant=1 / 6))


@translates("silu", "mish")
def _gated(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    own = View(view.value, view.own_sizes, view.strides)
    kinds: tuple[Kind, ...] = ("logistic",)
    if call.name == "mish":
        kinds = ("exp", "shift", "log", "tanh")
    product = to.pair("mul", own, to.elementwise(own, *kinds), own.sizes)
    return to.alias(call.outputs[0], product.expanded(view.sizes))


@translates("prelu", "_prelu_kernel")
def _prelu(to: Translation, call: Call) -> bool:
    trained = math.prod(call.args[1].shape) > 1
    view = to.elementwise(to.view(call.args[0]), "prelu", norm=trained)
    return to.alias(call.outputs[0], view)


@translates("hardtanh", "clamp", "clamp_min", "clamp_max")
def _clip(to: Translation, call: Call) -> bool:
    image, *bounds = call.args
    if any(isinstance(bound, Traced) for bound in bounds):
        return False
    low = None if call.name == "clamp_max" else bounds[0]
    high = bounds[-1] if call.name != "clamp_min" and len(bounds) + (low is None) > 1 else None
    kind: Kind = "relu6"  # for any bounds it is the same kernel
    if (low, high) == (-1, 1):
        kind = "relu_n1_to_1"
    elif high is None:
        kind = "relu"
    return to.alias(call.outputs[0], to.elementwise(to.view(image), kind))


@translates("_softmax", "_log_softmax", "_safe_softmax")
def _softmax(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    rank = len(view.sizes)
    last = call.args[1] % rank
    order = to.order(view)
    if order[-1] != last:  # the runtime works along the last dimension only
        order = (*(dim for dim in range(rank) if dim != last), last)
    value = to.add("softmax", to.read(view, order))
    if call.name == "_log_softmax":
        value = to.add("log", value)
    return to.put(call.outputs[0], value, order)


@translates("pow")
def _power(to: Translation, call: Call) -> bool:
    image, power = call.args[:2]
    kinds: dict[Any, Kind] = {2: "square", 0.5: "sqrt", -0.5: "rsqrt"}
    power = power.value if isinstance(power, Constant) else power
    if not isinstance(image, Traced) or isinstance(power, Traced) or power not in kinds:
        return False
    return to.alias(call.outputs[0], to.elementwise(to.view(image), kinds[power]))


@translates("add", "sub", "rsub", "mul", "div", "maximum", "minimum")
def _two_tensors(to: Translation, call: Call) -> bool:
    first, second, *rest = call.args
    kind = call.name
    output = call.outputs[0]
    if kind == "div" and rest and rest[0] is not None:
        return False  # rounds
    if kind == "rsub":
        first, second, kind = second, first, "sub"
    kind = {"max": "maximum", "min": "minimum"}.get(kind, kind)
    alpha = rest[0] if kind in ("add", "sub") and rest else 1
    if isinstance(first, Traced) and isinstance(second, Traced):
        other = to.view(second)
        if alpha != 1:
            other = to.elementwise(other, "scale", constant=float(alpha))
        views = to.view(first), other
        return to.alias(output, to.pair(cast(Kind, kind), *views, output.shape))
    tensor, constant = (first, second) if isinstance(first, Traced) else (second, first)
    constant = constant if isinstance(constant, Constant) else Constant((), float(constant))
    if kind == "div":
        if tensor is second:
            return False  # a constant divided by a tensor
        value = constant.value
        constant = Constant(constant.shape, 1 / value if value else None)
    if kind == "sub" and tensor is second:  # 1 - x
        view = to.elementwise(to.view(tensor), "neg")
        return to.alias(output, to.with_constant("shift", view, constant, output.shape))
    if kind in ("maximum", "minimum"):
        return to.alias(output, to.elementwise(to.view(tensor), "relu").expanded(output.shape))
    operation: Kind = "shift" if kind in ("add", "sub") else "scale"
    return to.alias(output, to.with_constant(operation, to.view(tensor), constant, output.shape))


@translates("addcmul")
def _scaled_sum(to: Translation, call: Call) -> bool:
    base, first, second = call.args[:3]
    sizes = call.outputs[0].shape
    factors = [one for one in (first, second) if isinstance(one, Traced)]
    if len(factors) == 2:
        product = to.pair("mul", to.view(first), to.view(second), sizes)
    elif factors:
        constant = second if factors[0] is first else first
        product = to.with_constant("scale", to.view(factors[0]), constant, sizes)
    else:
        return False
    if isinstance(base, Traced):
        return to.alias(call.outputs[0], to.pair("add", to.view(base), product, sizes))
    return to.alias(call.outputs[0], to.with_constant("shift", product, base, sizes))
