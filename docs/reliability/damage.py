"""Ways to damage a file: mutators take bytes and a source of random numbers and give bytes."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from random import Random

MAGIC = b"\x1f\x8b"
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
LONG = 10_000_000  # bytes of a very long line

Mutator = Callable[[bytes, Random], bytes]

ODD_NUMBERS = [
    b"1e9", b"0x10", "١٢".encode(), b" 12", b"12 ", b"+5", b"-1", b"-0", b"007", b"9" * 5_000,
    str(2**31).encode(), str(2**63).encode(), str(-(2**40)).encode(), str(2**40).encode(),
    str(2**40 + 1).encode(), b"nan", b"inf", b"1_0", b"1.0", b"", b"1,000", "²".encode(), b"0",
]  # fmt: skip
ODD_TEXTS = [
    b"", b".", b"*", b"<DEL>", b"N", b"\xff\xfe", "é".encode(), "\u2028".encode(), b"\x85",
    b"\xed\xa0\x80", b"a b", b"../../etc/passwd", b"%s%n{}", b"\x1b[31m", b'"', b"'", b"#",
    b"track", b">x", b"a,b", b";;", b"=", b"x" * 70_000, b"A[chr2:100[", b"\x0b", b"\x1c", b" ",
    "染色体".encode(), b"chrA", b"chrB", b"\\", b"--force", b"\xc2\xa0",
]  # fmt: skip
ODD_LINES = [
    b"#comment", b"track name=x", b"browser position x", b"track", b"##fileformat=VCFv4.2", b"",
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", b">late", b">", b"   ", b"\t\t", b";old",
    b"chrom\tstart\tend", b"\x85", b"\x0c", b"ACGT", b">chrA", b"@", b"\x1f\x8b",
]  # fmt: skip


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(start + rng.choice([1, 1, 2, 7, 60, 1_000]), len(data))


def flip_bits(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8]) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def replace_bytes(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def delete_bytes(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def repeat_bytes(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice([1, 3]) + data[end:]


def truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert_nul(data: bytes, rng: Random) -> bytes:
    start, _ = _span(data, rng)
    return data[:start] + b"\0" * rng.choice([1, 4]) + data[start:]


def insert_letter(data: bytes, rng: Random) -> bytes:
    start, _ = _span(data, rng)
    return data[:start] + rng.choice([b"\r", b"\n", b"\t", b" ", b'"', b",", *ODD_TEXTS]) + data[
        start:
    ]  # fmt: skip


def empty(data: bytes, rng: Random) -> bytes:
    return rng.choice([b"", b"\n", b"\r\n", b"\0", b" ", b"\xef\xbb\xbf"])


BYTES: list[Mutator] = [
    flip_bits, replace_bytes, delete_bytes, repeat_bytes, truncate, insert_nul, insert_letter,
]  # fmt: skip


def _of_field(data: bytes, rng: Random, change: Callable[[list[bytes], int], None]) -> bytes:
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    comma = rng.random() < 0.2 or b"\t" not in lines[number]
    separator = rng.choice([b",", b";", b"|", b":", b"="]) if comma else b"\t"
    fields = lines[number].split(separator)
    change(fields, rng.randrange(len(fields)))
    lines[number] = separator.join(fields)
    return b"\n".join(lines)


def odd_number(data: bytes, rng: Random) -> bytes:
    return _of_field(data, rng, lambda fields, i: fields.__setitem__(i, rng.choice(ODD_NUMBERS)))


def odd_text(data: bytes, rng: Random) -> bytes:
    return _of_field(data, rng, lambda fields, i: fields.__setitem__(i, rng.choice(ODD_TEXTS)))


def swap_fields(data: bytes, rng: Random) -> bytes:
    def change(fields: list[bytes], i: int) -> None:
        j = rng.randrange(len(fields))
        fields[i], fields[j] = fields[j], fields[i]

    return _of_field(data, rng, change)


def drop_field(data: bytes, rng: Random) -> bytes:
    return _of_field(data, rng, lambda fields, i: fields.__delitem__(i))


def repeat_field(data: bytes, rng: Random) -> bytes:
    return _of_field(data, rng, lambda fields, i: fields.insert(i, fields[i]))


def odd_line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(ODD_LINES))
    return b"\n".join(lines)


def repeat_line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    i = rng.randrange(len(lines))
    return b"\n".join(lines[:i] + [lines[i]] * rng.choice([2, 3]) + lines[i + 1 :])


def drop_line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def shuffle_lines(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def some_crlf(data: bytes, rng: Random) -> bytes:
    return b"".join(line + (b"\r\n" if rng.random() < 0.3 else b"\n") for line in data.split(b"\n"))


def old_mac(data: bytes, rng: Random) -> bytes:
    return data.replace(b"\n", b"\r")


def utf16(data: bytes, rng: Random) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-32"]))


def latin1(data: bytes, rng: Random) -> bytes:
    return data.replace(b"a", b"\xe4", rng.choice([1, 5]))


def spaces(data: bytes, rng: Random) -> bytes:
    return data.replace(b"\t", b" ", rng.choice([1, 3, -1]))


def long_line(data: bytes, rng: Random) -> bytes:
    start, _ = _span(data, rng)
    letter = rng.choice([b"A", b"A", b"\t", b",", b"\xff", b";", b'"', b" ", b"9"])
    return data[:start] + letter * LONG + data[start:]


TEXT: list[Mutator] = [
    odd_number, odd_number, odd_number, odd_text, odd_text, swap_fields, drop_field, repeat_field,
    odd_line, odd_line, repeat_line, drop_line, shuffle_lines, some_crlf, old_mac, utf16, latin1,
    spaces, empty,
]  # fmt: skip


def bgzf(data: bytes, rng: Random) -> bytes:
    """As bgzip packs it, in several blocks."""
    size = rng.choice([100, 333, 60_000]) if len(data) < LONG else 60_000
    blocks = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        blocks.append(head + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(blocks) + BGZF_END


def gz(data: bytes, rng: Random) -> bytes:
    half = rng.choice([len(data), len(data) // 2])
    parts = [data[:half], data[half:]] if half < len(data) else [data]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def cut_blocks(data: bytes, rng: Random) -> bytes:
    """Cut off between two blocks, or members."""
    starts = [match.start() for match in re.finditer(b"\x1f\x8b\x08", data)]
    return data[: rng.choice(starts)] if starts else data


def add_garbage(data: bytes, rng: Random) -> bytes:
    return data + rng.choice([b"\0" * 10, b"garbage", b"\x1f\x8b", gzip.compress(b"c\t1\t2\n")])


PACKED: list[Mutator] = [
    flip_bits, replace_bytes, delete_bytes, truncate, truncate, cut_blocks, cut_blocks, add_garbage,
]  # fmt: skip


def crlf(data: bytes, rng: Random) -> bytes:
    return data.replace(b"\n", b"\r\n")


def with_mark(data: bytes, rng: Random) -> bytes:
    return b"\xef\xbb\xbf" + data


def no_last_newline(data: bytes, rng: Random) -> bytes:
    return data.removesuffix(b"\n")


def mutated(data: bytes, rng: Random, mutators: list[Mutator]) -> bytes:
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice(mutators)(data, rng)
    return data


def damaged(data: bytes, rng: Random) -> tuple[bytes, bool]:
    """A text file with damage, maybe packed; and whether it is only packed otherwise."""
    chance = rng.random()
    if chance < 0.08:
        for change in rng.sample([crlf, no_last_newline], rng.randrange(3)):
            data = change(data, rng)
        return rng.choice([with_mark, gz, bgzf, lambda d, r: d])(data, rng), True
    if chance < 0.083:
        data = long_line(data, rng)
    elif chance < 0.75:
        data = mutated(data, rng, TEXT if rng.random() < 0.7 else BYTES)
    if rng.random() < 0.25 or chance >= 0.75:
        data = rng.choice([gz, bgzf])(data, rng)
        if rng.random() < 0.6 or chance >= 0.75:
            data = mutated(data, rng, PACKED)
    return data, False


# JSON and safetensors

ODD_VALUES = [
    None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "1", "\0", [],
    {}, [[]], ["a"] * 20_000, "x" * 100_000, "../../etc", {"a": 1}, 1024, 65_536, 0.5, "mean",
]  # fmt: skip


def odd_json(values: object, rng: Random) -> object:
    """One value somewhere in nested JSON, replaced, removed or moved."""
    if isinstance(values, dict) and values and (rng.random() < 0.8):
        key = rng.choice(sorted(values))
        changed = dict(values)
        if rng.random() < 0.1:
            del changed[key]
        elif rng.random() < 0.1:
            changed[rng.choice(["x", "dim", "kind", "__class__"])] = rng.choice(ODD_VALUES)
        else:
            changed[key] = odd_json(values[key], rng)
        return changed
    return rng.choice(ODD_VALUES)


def damaged_json(data: bytes, rng: Random) -> bytes:
    chance = rng.random()
    if chance < 0.6:
        values = json.loads(data)
        for _ in range(rng.choice([1, 1, 2])):
            values = odd_json(values, rng)
        return json.dumps(values).encode()
    if chance < 0.65:
        return rng.choice([b"[" * 100_000, b'{"a":' * 100_000, b" " * (1 << 21), b"\xff\xfe{}"])
    return mutated(data, rng, BYTES + TEXT)


def damaged_tensors(data: bytes, rng: Random) -> bytes:
    """A safetensors file: its header, its sizes, its values, or any byte."""
    chance = rng.random()
    size = struct.unpack("<Q", data[:8])[0]
    if chance < 0.2:
        absurd = rng.choice([0, 1, size - 1, size + 1, len(data), 2**31, 2**40, 2**63, 2**64 - 1])
        return struct.pack("<Q", absurd) + data[8:]
    if chance < 0.6:
        header = json.loads(data[8 : 8 + size])
        name = rng.choice(sorted(header))
        part = rng.choice(["dtype", "shape", "data_offsets", "name", "whole"])
        if part == "name":
            odd = ["", "../x", "\0", "x" * 70_000, "é", "__metadata__"]
            header[rng.choice(odd)] = header.pop(name)
        elif part == "whole":
            header[name] = rng.choice(ODD_VALUES)
        else:
            odd_parts = [
                "F64", "BF16", "F8_E4M3", "I64", "BOOL", "U8", "F4", "C64", [], [0], [-1],
                [2**63], [2**32, 2**32], [0, 0], [0, 2**62], [4, 2], None, "x", [1] * 70,
            ]  # fmt: skip
            if isinstance(header[name], dict):
                header[name][part] = rng.choice(odd_parts)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size :]
    if chance < 0.7:
        at = 8 + size + 4 * rng.randrange((len(data) - 8 - size) // 4)
        odd = struct.pack("<f", rng.choice([float("nan"), float("inf"), -0.0, 3e38, -1.0]))
        return data[:at] + odd + data[at + 4 :]
    if chance < 0.75:
        return pickle.dumps({"a": [0.0] * 3})  # must not be read as one
    return mutated(data, rng, BYTES)
