"""A pronunciation dictionary: rules in order, what may be in one, and how its versions are stored.

Knows nothing of how rules are applied; that is the worker's.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import warnings
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from producer.contract.errors import MalformedMessageError
from producer.contract.expansion import expanded_size
from producer.contract.markup import INAUDIBLE
from producer.contract.narration import SCHEMA_VERSION, DictionaryReference, is_speakable
from producer.contract.replacement import Replacement

MAX_RULES: Final = 1_000
#: Characters of what a rule looks for.
MAX_PATTERN_CHARS: Final = 500
#: Characters of what is said instead: about one segment, so that a replacement is spoken in one breath.
MAX_REPLACEMENT_CHARS: Final = 250

#: Items of a regular expression with its counted repeats written out; a million of them take a gigabyte to compile.
MAX_EXPANDED_ITEMS: Final = 5_000

#: No control may come back in by a rule, and no bracket: tokenizers read `[STOP]` in a text as a command.
_FORBIDDEN: Final = re.compile(rf"[{INAUDIBLE}\x09-\x0d\x1c-\x1e\x85\u2028\u2029\[\]\uff3b\uff3d\ufe47\ufe48]")
#: A brace that `re` reads as itself and the worker's engine as an error that is allowed for ("fuzzy").
_LOOSE_BRACE: Final = re.compile(r"(?<!\\)(?:\\\\)*\{(?!\d+(?:,\d*)?\}|,\d+\})")
#: What takes out each of these takes out everything.
_PROBES: Final = "aZ0é中я"
#: A group that is repeated, which could keep `re` busy for ever even with one character; the worker's engine has a
#: time limit, and the worker refuses to speak a text that was emptied.
_REPEATED_GROUP: Final = re.compile(r"\)[*+?{]")


class Rule(BaseModel):
    """What is said instead of what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_by_name=True, validate_by_alias=True)

    #: A word, several words, or a regular expression; as NFC, like every text that it meets.
    pattern: Annotated[str, Field(alias="from", min_length=1, max_length=MAX_PATTERN_CHARS)]
    #: Empty: nothing is said. Of a regular expression, `\1` and `\g<name>` stand for what its groups found.
    replacement: Annotated[str, Field(alias="to", max_length=MAX_REPLACEMENT_CHARS)]
    case_sensitive: bool = True
    #: Only where no word goes on at either side. Chinese and Japanese, which write no spaces, ask for none.
    word_boundary: bool = True
    is_regex: bool = False

    @field_validator("pattern", "replacement")
    @classmethod
    def _is_composed(cls, text: str) -> str:
        return unicodedata.normalize("NFC", text)

    @field_validator("replacement")
    @classmethod
    def _is_clean(cls, replacement: str) -> str:
        if found := _FORBIDDEN.search(replacement):
            raise PydanticCustomError(
                "rule_replacement",
                "holds {name}; line breaks, controls and square brackets cannot be spoken",
                {"name": f"U+{ord(found[0]):04X}"},
            )
        return replacement

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.is_regex:
            self._check_regex()
        elif not self.pattern.strip():
            raise PydanticCustomError("rule_pattern", "`from` is only white space")
        return self

    def _check_regex(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what `re` may read in another way one day
                compiled = re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError, Warning) as error:
            raise PydanticCustomError(
                "rule_regex", "`from` is no regular expression: {reason}", {"reason": str(error)}
            ) from None
        if expanded_size(self.pattern) > MAX_EXPANDED_ITEMS:
            raise PydanticCustomError("rule_regex", "`from` repeats too much too often")
        if compiled.flags & re.VERBOSE:
            raise PydanticCustomError("rule_regex", "`from` must not be verbose, `(?x)`")
        if _LOOSE_BRACE.search(self.pattern):
            raise PydanticCustomError("rule_regex", r"`from` holds a brace that repeats nothing; write it as \{")
        try:
            Replacement.parse(self.replacement).check(compiled.groups, set(compiled.groupindex))
        except ValueError as error:
            raise PydanticCustomError("rule_replacement", "`to`: {reason}", {"reason": str(error)}) from None
        if is_speakable(self.replacement) or _REPEATED_GROUP.search(self.pattern):
            return
        if all(compiled.fullmatch(probe) for probe in _PROBES):
            raise PydanticCustomError("rule_empties", "takes out every letter: nothing would be left to say")


class Rules(BaseModel):
    """The rules of one version of a dictionary, in the order in which they are applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=MAX_RULES)]

    def encode(self) -> bytes:
        """Return the rules as they are stored; the same rules give the same bytes."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def decode(cls, data: bytes, reference: DictionaryReference) -> Self:
        """Return rules that were stored.

        Args:
            data: the object at `dictionary_rules_key(reference.sha256)`.
            reference: which version it has to be.

        Raises:
            MalformedMessageError: these are not the bytes that the reference names, or no rules of this version.
        """
        what = f"the rules of dictionary {reference.name!r}, version {reference.version}"
        if hashlib.sha256(data).hexdigest() != reference.sha256:
            raise MalformedMessageError(what, "the content is not what its name says")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise MalformedMessageError(what, f"{error.error_count()} faults") from None


class DictionaryVersion(BaseModel):
    """One version of a dictionary; its rules are `dictionaries/<sha256>.rules.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: From 1 on.
    version: int
    sha256: str
    num_rules: int
    added_at: datetime


class Dictionary(BaseModel):
    """The record `dictionaries/<name>.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    name: str
    #: The oldest first; the last one is current.
    versions: Annotated[tuple[DictionaryVersion, ...], Field(min_length=1)]

    @property
    def current(self) -> DictionaryVersion:
        """The version that a narration gets which is handed in now."""
        return self.versions[-1]

    @property
    def reference(self) -> DictionaryReference:
        """What pins the current version into a request."""
        return DictionaryReference(name=self.name, version=self.current.version, sha256=self.current.sha256)
