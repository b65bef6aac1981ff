"""A disk that remembers what was written to it in which order, so that the power can be cut at any moment of its past.

The disk is one file, `disk.img`, in a FUSE file system that this program serves; a loop device on that file carries a
real file system. A flush of the loop device arrives as FSYNC. Everything is written to a journal:

    entry := kind u8 ("W" write, "F" flush) | monotonic ns u64 | offset u64 | length u32 | bytes

The protocol is that of the kernel's include/uapi/linux/fuse.h, version 7.31; requests are served one at a time, so
that a flush covers all writes that stand before it in the journal.

    power_disk.py BASE_IMAGE MOUNT_POINT JOURNAL     serves until it is unmounted
"""

import ctypes
import dataclasses
import errno
import os
import stat
import struct
import sys
import time

ENTRY = struct.Struct("<cQQI")
SECTOR = 512

IN_HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
OUT_HEADER = struct.Struct("<IiQ")
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE = 1, 2, 3, 4, 14, 15, 16
STATFS, RELEASE, FSYNC, FLUSH, INIT, DESTROY, BATCH_FORGET = 17, 18, 20, 25, 26, 38, 42
ROOT, FILE = 1, 2
MAX_WRITE = 1 << 20


# ---- serving ----
class Server:
    """Serves one file to the kernel, and writes down what becomes of it."""

    def __init__(self, image, journal):
        self._image = os.open(image, os.O_RDWR)
        self._journal = open(journal, "wb", buffering=1 << 20)
        self._device = os.open("/dev/fuse", os.O_RDWR)

    def mount(self, where):
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if libc.mount(b"power_disk", os.fsencode(where), b"fuse", 0, options.encode()) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), where)

    def serve(self):
        while True:
            try:
                request = os.read(self._device, MAX_WRITE + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    break
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                raise
            _, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET):
                continue
            try:
                body = self._answer(opcode, node, memoryview(request)[IN_HEADER.size:])
                os.writev(self._device, [OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique), body])
            except OSError as error:
                os.write(self._device, OUT_HEADER.pack(OUT_HEADER.size, -error.errno, unique))
            if opcode == DESTROY:
                break
        self._journal.close()

    def _answer(self, opcode, node, body):
        if opcode == INIT:
            major, minor, readahead, _ = struct.unpack_from("<IIII", body)
            big_writes, max_pages = 1 << 5, 1 << 22
            return struct.pack("<IIIIHHIIHH8I", 7, min(minor, 31), readahead, big_writes | max_pages, 16, 12, MAX_WRITE,
                               1, MAX_WRITE // 4096, 0, *[0] * 8)
        if opcode == LOOKUP:
            if bytes(body).rstrip(b"\0") != b"disk.img":
                raise OSError(errno.ENOENT, "")
            return struct.pack("<QQQQII", FILE, 0, 3600, 3600, 0, 0) + self._attributes(FILE)
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
        if opcode == OPEN:
            return struct.pack("<QII", 0, 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return os.pread(self._image, size, offset)
        if opcode == WRITE:
            _, offset, size, *_ = struct.unpack_from("<QQIIQII", body)
            return self._write(offset, body[40:40 + size])
        if opcode == FSYNC:
            self._note(b"F", 0, b"")
            self._journal.flush()
            return b""
        if opcode == STATFS:
            return struct.pack("<QQQQQIIII6I", 1 << 30, 1 << 30, 1 << 30, 9, 9, 4096, 255, 4096, 0, *[0] * 6)
        if opcode in (RELEASE, FLUSH, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "")

    def _attributes(self, node):
        size = os.fstat(self._image).st_size if node == FILE else 4096
        mode = stat.S_IFREG | 0o600 if node == FILE else stat.S_IFDIR | 0o700
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _write(self, offset, data):
        self._note(b"W", offset, data)
        os.pwrite(self._image, data, offset)
        return struct.pack("<II", len(data), 0)

    def _note(self, kind, offset, data):
        self._journal.write(ENTRY.pack(kind, time.monotonic_ns(), offset, len(data)))
        self._journal.write(data)


# ---- looking back ----
@dataclasses.dataclass
class Entry:
    kind: bytes
    at_ns: int  # monotonic, when it arrived
    offset: int
    data: bytes


def read_journal(path):
    with open(path, "rb") as journal:
        while head := journal.read(ENTRY.size):
            kind, at_ns, offset, length = ENTRY.unpack(head)
            yield Entry(kind, at_ns, offset, journal.read(length))


def write_image_after_a_cut(base, entries, path, chance):
    """The image as a power cut after `entries` may leave it, at `path`; `base` is the image before them.

    All that a flush covers is there. Of what came later each sector may be there, or not: a drive writes in the order
    that it likes. `chance` decides, in one of four ways: all, none, half of the writes, or half of the sectors.
    """
    flushed = max((i for i, entry in enumerate(entries) if entry.kind == b"F"), default=-1)
    manner = chance.choice(["all", "none", "writes", "sectors", "writes", "sectors"])
    copy_sparse(base, path)
    with open(path, "r+b") as image:
        for i, entry in enumerate(entries):
            if entry.kind != b"W":
                continue
            if i > flushed and (manner == "none" or (manner == "writes" and chance.random() < 0.5)):
                continue
            if i < flushed or manner != "sectors":
                image.seek(entry.offset)
                image.write(entry.data)
                continue
            for at in range(0, len(entry.data), SECTOR):
                if chance.random() < 0.5:
                    image.seek(entry.offset + at)
                    image.write(entry.data[at:at + SECTOR])
    return manner


def copy_sparse(source, target):
    with open(source, "rb") as old, open(target, "wb") as new:
        size = os.fstat(old.fileno()).st_size
        at = 0
        while at < size:
            try:
                start = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            while start < at:
                start += os.copy_file_range(old.fileno(), new.fileno(), at - start, start, start)
        new.truncate(size)


if __name__ == "__main__":
    server = Server(sys.argv[1], sys.argv[3])
    server.mount(sys.argv[2])
    print("mounted", flush=True)
    server.serve()
