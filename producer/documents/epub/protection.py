"""Books whose text is encrypted: named, not read. Knows nothing of keys."""

from __future__ import annotations

from typing import Final

from producer.documents.epub.archive import Archive
from producer.documents.epub.package import MAX_PACKAGE_BYTES
from producer.documents.epub.tree import read_tree
from producer.documents.refusal import RefusedError

_ENCRYPTION: Final = "META-INF/encryption.xml"
#: Ways to scramble fonts, which EPUB allows in open books; the text stays readable.
_FONT_ALGORITHMS: Final = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})
#: File -> whose protection puts it there.
_LICENCES: Final = (
    ("META-INF/license.lcpl", "Readium LCP"),
    ("META-INF/sinf.xml", "Apple FairPlay"),
    ("META-INF/rights.xml", "Adobe ADEPT"),
)


def refuse_protected(archive: Archive) -> None:
    """Refuse a book that is locked.

    Raises:
        RefusedError: `epub_protected`, naming the kind of protection.
    """
    if archive.find(_ENCRYPTION) is None:
        return
    tree = read_tree(archive.read(_ENCRYPTION, max_bytes=MAX_PACKAGE_BYTES))
    algorithms = {
        method.attribute("algorithm") or method.attribute("Algorithm") or ""
        for data in tree.all("encrypteddata")
        for method in data.elements("encryptionmethod")
    }
    if algorithms <= _FONT_ALGORITHMS:
        return
    kind = next((name for file, name in _LICENCES if archive.find(file)), "an unknown kind of DRM")
    raise RefusedError(
        "epub_protected", f"is protected by {kind}, so its text cannot be read; use a copy without protection"
    )
