"""Content security policy of a page that stands alone: it loads nothing, and runs nothing but its own text.

Owns: the policy, which names style and script by their hashes.
Must not know: the pages.
"""

import base64
from collections.abc import Iterable
from hashlib import sha256


def content_policy(*, styles: Iterable[str], scripts: Iterable[str] = ()) -> str:
    """Return the policy of a page with these texts of `style` and `script` elements; attributes of style are barred."""
    sources = {"style-src": styles, "script-src": scripts}
    hashed = {name: " ".join(map(_source, texts)) for name, texts in sources.items()}
    own = "".join(f"; {name} {hashes}" for name, hashes in hashed.items() if hashes)
    return f"default-src 'none'{own}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
