"""Time zones made for a test, with the transitions that it needs."""

import struct
from datetime import datetime
from io import BytesIO
from zoneinfo import ZoneInfo


def made(*changes: tuple[datetime, float], at_first: float = 0, key: str | None = None) -> ZoneInfo:
    """Make a zone whose offset becomes so many hours at each of these instants (RFC 8536, version 2)."""
    hours = [at_first, *sorted({offset for _, offset in changes} - {at_first})]
    header = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, 1)
    later = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, len(changes), len(hours), 1)
    later += b"".join(struct.pack(">q", int(at.timestamp())) for at, _ in changes)
    later += bytes(hours.index(offset) for _, offset in changes)
    later += b"".join(struct.pack(">lBB", round(offset * 3600), 0, 0) for offset in hours)
    zone = header + struct.pack(">lBB", 0, 0, 0) + b"\0" + later + b"\0\n\n"
    return ZoneInfo.from_file(BytesIO(zone), key=key)
