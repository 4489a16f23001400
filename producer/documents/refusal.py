"""Why a document is not read: a stable code and a sentence. Knows nothing of the file's name."""

from __future__ import annotations


class RefusedError(Exception):
    """A document that cannot be read. Arguments: code, sentence that goes on from the file's name.

    Never leaves the package: `read_document` knows the file's name and raises `UnreadableInputError`.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)

    @property
    def code(self) -> str:
        """The stable code, as in `epub_encrypted`."""
        return str(self.args[0])

    @property
    def reason(self) -> str:
        """The sentence, with what to do about it where something can be done."""
        return str(self.args[1])
