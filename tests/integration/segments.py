"""Segment files as docs/format.md describes them, made without the agent: for directories too large to fill by load."""

import struct
import zlib

MAGIC = b"HOLDFAST"
RECORD_MAGIC = b"HFRC"
HEADER_BYTES = 64
DATA, SEAL = 1, 2
SIGNAL_TAGS = {"traces": 0, "metrics": 1, "logs": 2, "profiles": 3}


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc32c_table()


def crc32c(data, value=0):
    value ^= 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def segment_header(signal, first_seq, created_ns, nonce):
    head = struct.pack("<8sHHIQQQIB15x", MAGIC, 1, 0, HEADER_BYTES, first_seq, first_seq, created_ns, nonce,
                       SIGNAL_TAGS[signal])
    return head + struct.pack("<I", crc32c(head))


def record_header(nonce, record_type, seq, received_ns=0, payload=None, items=0, requests=0, item_total=0):
    length = len(payload.stored) if payload else 0
    tail = struct.pack("<IIQQIIIBB2xIIQ", length, payload.crc32c if payload else 0, seq, received_ns, items, length,
                       payload.crc32 if payload else 0, record_type, 0, 0, requests, item_total)
    return RECORD_MAGIC + struct.pack("<I", crc32c(tail, nonce)) + tail


class Payload:
    """The bytes of one request, which may stand in many segments."""

    def __init__(self, stored):
        self.stored = stored
        self.head = stored.rstrip(b"\0")  # the rest is left to be a hole
        self.crc32c = crc32c(stored)
        self.crc32 = zlib.crc32(stored)


def write_segment(directory, signal, seq, created_ns, payload, items):
    """One sealed segment with one record. Zeros at the payload's end take no room on the disk."""
    nonce = seq * 2654435761 % 2**32
    path = directory / f"{seq:020}-{created_ns // 1_000_000:013}.seg"
    with open(path, "wb") as file:
        file.write(segment_header(signal, seq, created_ns, nonce))
        file.write(record_header(nonce, DATA, seq, created_ns, payload, items, 1))
        file.write(payload.head)
        file.seek(2 * HEADER_BYTES + (len(payload.stored) + 7) // 8 * 8)
        file.write(record_header(nonce, SEAL, seq + 1, requests=1, item_total=items))
    return path
