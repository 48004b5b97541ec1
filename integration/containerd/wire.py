"""Protobuf's wire format, as much of it as containerd's and the CRI's messages need.

Owns: bytes to values and back, by the tables of messages.py. A message is a dict to write and a Message to read: an absent
field reads as protobuf's default. Knows no message by name.
"""

import struct
from messages import MESSAGES


class Message(dict):
    """What was read; fields are attributes as well."""

    __getattr__ = dict.__getitem__


def _parse(line):
    """`name=1:type ...` as {number: (name, type)}."""
    fields = {}
    for word in line.split():
        name, rest = word.split("=")
        number, kind = rest.split(":")
        fields[int(number)] = (name, kind)
    return fields


SCHEMA = {name: _parse(line) for name, line in MESSAGES.items()}
SCALARS = {"str": "", "bytes": b"", "int": 0, "uint": 0, "bool": False, "double": 0.0}


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7


def _field(number, kind, value):
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if kind in ("int", "uint", "bool"):
        return _varint(number << 3) + _varint(int(value))
    if kind == "str":
        value = value.encode()
    elif kind != "bytes":
        value = encode(kind, value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def encode(name, message):
    """A dict as the bytes of the message NAME. A field that the message does not have is an error; a default is left out."""
    numbers = {field: (number, kind) for number, (field, kind) in SCHEMA[name].items()}
    out = b""
    for field, value in message.items():
        number, kind = numbers[field]
        if kind.startswith("["):
            out += b"".join(_field(number, kind[1:-1], one) for one in value)
        elif kind.startswith("{"):
            for key, one in value.items():
                entry = _field(1, "str", key) + _field(2, kind[1:-1], one)
                out += _varint(number << 3 | 2) + _varint(len(entry)) + entry
        elif kind not in SCALARS or value != SCALARS[kind]:
            if value is not None:
                out += _field(number, kind, value)
    return out


def _split(data):
    """Field number, wire type and raw value of each field."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 == 0:
            value, at = _read_varint(data, at)
        elif key & 7 == 2:
            length, at = _read_varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            width = {1: 8, 5: 4}[key & 7]
            value, at = data[at : at + width], at + width
        yield key >> 3, value


def _value(kind, raw):
    if kind == "int":
        return raw - (1 << 64) if raw >= 1 << 63 else raw
    if kind == "double":
        return struct.unpack("<d", raw)[0]
    return {"uint": int, "bool": bool, "bytes": bytes, "str": lambda r: r.decode()}.get(kind, lambda r: decode(kind, r))(raw)


def _default(kind):
    if kind[0] in "[{":
        return [] if kind[0] == "[" else {}
    return SCALARS.get(kind)


def decode(name, data):
    """The bytes of a message NAME. What the table does not have is passed over; an absent message is None."""
    fields = SCHEMA[name]
    message = Message({field: _default(kind) for field, kind in fields.values()})
    for number, raw in _split(data):
        field, kind = fields.get(number, (None, None))
        if field is None:
            continue
        if kind.startswith("["):
            message[field].append(_value(kind[1:-1], raw))
        elif kind.startswith("{"):
            entry = dict(_split(raw))
            message[field][entry.get(1, b"").decode()] = _value(kind[1:-1], entry.get(2, b""))
        else:
            message[field] = _value(kind, raw)
    return message
