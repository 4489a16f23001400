"""Pronunciation dictionaries in S3: a record of versions for each name, and the rules of each version by their hash.

Knows nothing of files (`producer.dictionaryfile`) and of how rules are applied. Rules stay when a dictionary is
removed: narrations that were accepted with them are still spoken with them.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from producer.contract import keys
from producer.contract.dictionary import Dictionary, DictionaryVersion, Rules
from producer.contract.errors import InvalidDictionaryError, MalformedMessageError, UnknownDictionaryError
from producer.contract.fault import Fault
from producer.contract.narration import VOICE_NAME, DictionaryReference
from producer.storage import ObjectNotFoundError, ObjectStore

#: Versions that a record lists; older ones fall out of it, and their rules stay.
MAX_VERSIONS: Final = 100

_RECORD_KEY: Final = re.compile(r"dictionaries/(?P<name>[^/.]+)\.json")


class Dictionaries:
    """Looks dictionaries up and changes them."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def reference(self, name: str) -> DictionaryReference:
        """Return what pins the current version of a dictionary into a request.

        Raises:
            UnknownDictionaryError: no dictionary has this name.
            MalformedMessageError: its record is none.
            StorageUnavailableError: S3 cannot be asked.
        """
        return self.get(name).reference

    def get(self, name: str) -> Dictionary:
        """Return a dictionary's record; raises as `reference`."""
        if not VOICE_NAME.fullmatch(name):
            raise UnknownDictionaryError(name)
        try:
            return Dictionary.model_validate_json(self._store.get(keys.dictionary_record_key(name)))
        except ObjectNotFoundError:
            raise UnknownDictionaryError(name) from None
        except ValidationError as error:
            raise MalformedMessageError(f"the record of dictionary {name!r}", f"{error.error_count()} faults") from None

    def rules(self, reference: DictionaryReference) -> Rules:
        """Return the rules of one version.

        Raises:
            MalformedMessageError: they are not there, or are not what the reference names.
            StorageUnavailableError: S3 cannot be asked.
        """
        try:
            data = self._store.get(keys.dictionary_rules_key(reference.sha256))
        except ObjectNotFoundError:
            what = f"the rules of dictionary {reference.name!r}, version {reference.version}"
            raise MalformedMessageError(what, "the object is not there") from None
        return Rules.decode(data, reference)

    def list(self) -> tuple[Dictionary, ...]:
        """Return all dictionaries, by name.

        Raises:
            StorageUnavailableError: S3 cannot be asked.
        """
        found = (_RECORD_KEY.fullmatch(key) for key in self._store.list_keys("dictionaries/"))
        return tuple(self.get(name) for name in sorted(match["name"] for match in found if match))

    def add(self, name: str, rules: Rules) -> Dictionary:
        """Store rules as the newest version of a dictionary; the same rules as the current ones change nothing.

        Of two that are added at one moment, one is current afterwards and the other may be missing in the record.

        Args:
            name: lower-case letters, digits, `-` and `_`.
            rules: what it says instead of what.

        Raises:
            InvalidDictionaryError: the name cannot be accepted.
            MalformedMessageError: the record that is there is none.
            StorageUnavailableError: S3 did not take it.
        """
        check_name(name)
        data = rules.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            versions = self.get(name).versions
        except UnknownDictionaryError:
            versions = ()
        # The rules first, and always: a record never points at nothing.
        self._store.put(keys.dictionary_rules_key(sha256), data, "application/json")
        if not versions or versions[-1].sha256 != sha256:
            number = versions[-1].version + 1 if versions else 1
            newest = DictionaryVersion(
                version=number, sha256=sha256, num_rules=len(rules.rules), added_at=datetime.now(UTC)
            )
            versions = (*versions, newest)[-MAX_VERSIONS:]
        dictionary = Dictionary(name=name, versions=versions)
        self._store.put(keys.dictionary_record_key(name), dictionary.model_dump_json().encode(), "application/json")
        return dictionary

    def remove(self, name: str) -> None:
        """Remove a dictionary's record. Narrations that were accepted with it are still spoken with its rules.

        Raises:
            UnknownDictionaryError: no dictionary has this name.
            MalformedMessageError: its record is none.
            StorageUnavailableError: S3 cannot be asked.
        """
        self.get(name)
        self._store.delete(keys.dictionary_record_key(name))


def check_name(name: str) -> None:
    """Refuse a name that no dictionary can have.

    Raises:
        InvalidDictionaryError: saying what a name may be.
    """
    if not VOICE_NAME.fullmatch(name):
        sentence = "takes lower-case letters, digits, `-` and `_`, at most 64"
        raise InvalidDictionaryError.of([Fault("dictionary_name", "name", sentence)])
