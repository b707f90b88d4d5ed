"""Namespaces: the arguments that put a table into its PostgreSQL schema."""

from typing import Final

IDENTITY: Final[dict[str, str]] = {"schema": "identity"}
AUDIT: Final[dict[str, str]] = {"schema": "audit"}
SCHEDULING: Final[dict[str, str]] = {"schema": "scheduling"}
PLACEMENT: Final[dict[str, str]] = {"schema": "placement"}
WELLBEING: Final[dict[str, str]] = {"schema": "wellbeing"}
