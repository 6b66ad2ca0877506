"""A short name for an utterance, the same for texts the classifier sees as one."""

import hashlib

from crm.core.text.ngrams import clean


def key_of(text: str) -> str:
    """Return 16 hex digits for what the classifier sees of the text; '' for a text without anything to see."""
    seen = clean(text).strip()
    return hashlib.blake2b(seen.encode("utf-8", "replace"), digest_size=8).hexdigest() if seen else ""
