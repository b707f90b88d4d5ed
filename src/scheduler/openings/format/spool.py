"""Spool of places: the places of a file, kept in a temporary file until they are imported.

Owns: how a place is written there and read back.
Must not know: the format of openings files, the database.

A file is read once, and nothing of it is written before its last line was checked. Its places take twenty times its
size in memory, so they wait on the disk. The temporary file has no name, and goes with its process.
"""

import pickle
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Self

from scheduler.core.errors import InvalidInputError
from scheduler.openings.places import Place


class PlaceSpool:
    """Places that can be read any number of times, in the order in which they were added. Close it after use."""

    def __init__(self) -> None:
        try:
            self._file = TemporaryFile()  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise _unwritable(error) from None
        self._count = self._size = 0

    def add(self, place: Place) -> None:
        """Add a place.

        Raises:
            InvalidInputError: the temporary file cannot be written, as on a full disk.
        """
        try:
            self._file.seek(self._size)
            pickle.dump(place, self._file, protocol=pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError as error:
            raise _unwritable(error) from None
        self._count += 1
        self._size = self._file.tell()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Place]:
        position = 0
        while position < self._size:
            self._file.seek(position)
            place: Place = pickle.load(self._file)  # noqa: S301  # written by this object, in a file without a name
            position = self._file.tell()
            yield place

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _unwritable(error: OSError) -> InvalidInputError:
    return InvalidInputError(f"the temporary file for the places cannot be written: {error.strerror}")
