"""The namespace: that these tables are of the schema `placement`, said once."""

from typing import Final

HERE: Final[dict[str, str]] = {"schema": "placement"}
