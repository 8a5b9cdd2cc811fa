"""A real ONNX model in a few hundred bytes, written as the protobuf it is (field numbers: onnx.proto, ONNX 1.16).

It has U²-Net's input and output and answers with the mean of the normalised channels: what is bright is the object.
"""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _tensor(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size)) for size in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, dims)))  # element type 1: float


def brightness_model(side: int = 320, padding: int = 0) -> bytes:
    """`padding` bytes of documentation make the file as large as a test needs."""
    axes = _bytes(5, _bytes(1, "axes") + _number(8, 1) + _number(20, 7))  # attribute of type 7: integers
    keep = _bytes(5, _bytes(1, "keepdims") + _number(3, 1) + _number(20, 2))  # of type 2: one integer
    node = _bytes(1, "input.1") + _bytes(2, "mask") + _bytes(4, "ReduceMean") + axes + keep
    graph = _bytes(1, node) + _bytes(2, "tiny")
    graph += _bytes(11, _tensor("input.1", (1, 3, side, side))) + _bytes(12, _tensor("mask", (1, 1, side, side)))
    return _number(1, 7) + _bytes(6, "x" * padding) + _bytes(7, graph) + _bytes(8, _number(2, 11))
