"""Architecture -> Graph: the one place that knows what a block is made of."""

from functools import lru_cache

from mnaslat.architecture import Activation, Architecture, Block, Layer
from mnaslat.graph import Graph, LoweredLayer, Op, Precision, Shape


def lower(architecture: Architecture, precision: Precision = "fp32") -> Graph:
    """The graph that the runtime executes for an architecture.

    Sources of the details: ``docs/decisions.md``, "What a block is made of".
    """
    shape: Shape = (architecture.resolution, architecture.resolution, architecture.input_channels)
    layers = [
        _stem(shape, architecture.stem_filters, architecture.stem_stride, architecture.activation)
    ]
    places = ["stem"]
    for number, block in enumerate(architecture.blocks, start=1):
        if block.n_layers == 0:  # left out; those after it keep their numbers
            continue
        first, repeated = _lower_block(
            layers[-1].output_shape, block.first, architecture.activation, block.n_layers > 1
        )
        layers += (first, *(repeated for _ in range(block.n_layers - 1)))
        places += (f"block{number}.{position}" for position in range(block.n_layers))
    layers.append(
        _head(
            layers[-1].output_shape,
            architecture.head_filters,
            architecture.n_classes,
            architecture.activation,
        )
    )
    return Graph(tuple(layers), precision, (*places, "head"))


# Layers are many, but made of the same few ops.
_op = lru_cache(maxsize=16384)(Op)


# Searches lower the same few thousand layers over and over: each is built once.
@lru_cache(maxsize=65536)
def _lower_block(
    shape: Shape, first: Layer, activation: Activation, repeats: bool
) -> tuple[LoweredLayer, LoweredLayer]:
    """The first layer of a block, and the one that all further ones are."""
    lowered = _lower_layer(shape, first, activation)
    if not repeats:
        return lowered, lowered
    _, repeated = Block(first=first, n_layers=2).layers
    return lowered, _lower_layer(lowered.output_shape, repeated, activation)


@lru_cache(maxsize=65536)
def _lower_layer(shape: Shape, layer: Layer, activation: Activation) -> LoweredLayer:
    if layer.conv != "mbconv":
        after = activation if layer.conv == "conv" else ""
        ops = [_conv(layer.output_filters, layer.kernel, layer.stride, after, 0, layer.conv)]
    else:
        ops = []
        if layer.expansion > 1:
            filters = layer.input_filters * layer.expansion
            ops.append(_conv(filters, 1, 1, activation, 0, "expand"))
        ops.append(
            _op(
                kind="dwconv",
                inputs=(len(ops),),
                kernel=(layer.kernel, layer.kernel),
                stride=(layer.stride, layer.stride),
                activation=activation,
                norm=True,
                name="depthwise",
            )
        )
    if layer.se_ratio:
        # Squeezes what stands before it: the depthwise output, or the plain convolution's.
        gated = len(ops)
        channels = (
            layer.input_filters * layer.expansion
            if layer.conv == "mbconv"
            else layer.output_filters
        )
        ops += [
            _op(kind="mean", inputs=(gated,), name="se_mean"),
            # ReLU for every activation of the network, as in the official code.
            _op(
                kind="conv",
                inputs=(gated + 1,),
                filters=layer.squeeze_filters,
                activation="relu",
                name="se_reduce",
            ),
            _op(kind="conv", inputs=(gated + 2,), filters=channels, name="se_expand"),
            _op(kind="logistic", inputs=(gated + 3,), name="se_gate"),
            _op(kind="mul", inputs=(gated, gated + 4), name="se_scale"),
        ]
    if layer.conv == "mbconv":
        ops.append(_conv(layer.output_filters, 1, 1, "", len(ops), "project"))
    if layer.has_skip:
        body, source = len(ops), 0
        if layer.skip == "pool":
            ops.append(_op(kind="avg_pool", inputs=(0,), kernel=(3, 3), name="skip_pool"))
            source = len(ops)
        ops.append(_op(kind="add", inputs=(source, body), name="skip_add"))
    return LoweredLayer(input_shape=shape, ops=tuple(ops), label=_label(layer, shape))


@lru_cache(maxsize=1024)
def _stem(shape: Shape, filters: int, stride: int, activation: Activation) -> LoweredLayer:
    ops = (_conv(filters, 3, stride, activation, 0, "conv"),)
    return LoweredLayer(input_shape=shape, ops=ops, label=f"stem {filters}")


@lru_cache(maxsize=1024)
def _head(shape: Shape, filters: int, n_classes: int, activation: Activation) -> LoweredLayer:
    ops = (
        _conv(filters, 1, 1, activation, 0, "conv"),
        Op(kind="global_pool", inputs=(1,), name="pool"),
        Op(kind="linear", inputs=(2,), filters=n_classes, name="classifier"),
    )
    return LoweredLayer(input_shape=shape, ops=ops, label=f"head {filters}")


def _conv(filters: int, kernel: int, stride: int, activation: str, source: int, name: str) -> Op:
    return _op(
        kind="conv",
        inputs=(source,),
        filters=filters,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        activation=activation,
        norm=True,
        name=name,
    )


def _label(layer: Layer, shape: Shape) -> str:
    kind = f"mbconv{layer.expansion}" if layer.conv == "mbconv" else layer.conv
    if layer.conv == "mbconv" and layer.expansion == 1:
        kind = "sepconv"
    text = f"{kind} k{layer.kernel} s{layer.stride} {layer.input_filters}>{layer.output_filters}"
    if layer.se_ratio:
        text += " se"
    if layer.has_skip:
        text += f" {'pool' if layer.skip == 'pool' else 'id'}"
    return f"{text} @{shape[0]}"
