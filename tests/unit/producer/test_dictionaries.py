"""Dictionaries and their versions, in a bucket in memory; tests/integration meets the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from workerfakes import FakeStore

from producer.contract import keys
from producer.contract.dictionary import Rule, Rules
from producer.contract.errors import (
    InvalidDictionaryError,
    MalformedMessageError,
    StorageUnavailableError,
    UnknownDictionaryError,
)
from producer.dictionaries import MAX_VERSIONS, Dictionaries
from producer.storage import ObjectStore


class ListedStore(FakeStore):
    def list_keys(self, prefix: str = "") -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))


def rules(*pairs: tuple[str, str]) -> Rules:
    return Rules(rules=tuple(Rule(pattern=pattern, replacement=replacement) for pattern, replacement in pairs))


@pytest.fixture
def store() -> ListedStore:
    return ListedStore()


@pytest.fixture
def dictionaries(store: ListedStore) -> Dictionaries:
    return Dictionaries(cast("ObjectStore", store))


def test_a_new_version_leaves_the_rules_of_the_old_one_to_whoever_pinned_them(dictionaries: Dictionaries):
    first, second = rules(("Nguyen", "Win")), rules(("Nguyen", "Nwin"))
    dictionaries.add("names", first)
    pinned = dictionaries.reference("names")
    added = dictionaries.add("names", second)
    assert [version.version for version in added.versions] == [1, 2]
    assert dictionaries.reference("names") == added.reference
    assert dictionaries.rules(added.reference) == second
    assert dictionaries.rules(pinned) == first
    dictionaries.remove("names")
    assert dictionaries.rules(pinned) == first


def test_the_same_rules_again_are_no_new_version(dictionaries: Dictionaries):
    dictionaries.add("names", rules(("a", "b")))
    again = dictionaries.add("names", rules(("a", "b")))
    assert again.current.version == 1
    back = [dictionaries.add("names", rules((word, "b"))).current.version for word in ("c", "a")]
    assert back == [2, 3]


def test_a_record_lists_the_newest_versions(dictionaries: Dictionaries):
    for number in range(MAX_VERSIONS + 2):
        dictionaries.add("names", rules((f"word{number}", "x")))
    versions = [version.version for version in dictionaries.get("names").versions]
    assert versions == list(range(3, MAX_VERSIONS + 3))


def test_all_are_listed_by_name_and_rules_are_none(dictionaries: Dictionaries):
    for name in ("names", "a-b_1"):
        dictionaries.add(name, rules(("a", "b")))
    assert [dictionary.name for dictionary in dictionaries.list()] == ["a-b_1", "names"]


@pytest.mark.parametrize("name", ["nobody", "../names", "Names", "", "a" * 65, "x.rules"])
def test_an_unknown_dictionary_is_named(dictionaries: Dictionaries, name: str):
    for ask in (dictionaries.reference, dictionaries.get, dictionaries.remove):
        with pytest.raises(UnknownDictionaryError) as caught:
            ask(name)
        assert (caught.value.code, caught.value.args) == ("dictionary_unknown", (name,))


@pytest.mark.parametrize("name", ["../names", "Names", "", "a" * 65])
def test_a_name_that_no_key_can_hold_is_refused(dictionaries: Dictionaries, store: ListedStore, name: str):
    with pytest.raises(InvalidDictionaryError):
        dictionaries.add(name, rules(("a", "b")))
    assert store.objects == {}


def test_a_record_never_points_at_rules_that_were_not_stored(dictionaries: Dictionaries, store: ListedStore):
    store.num_failures = 1
    with pytest.raises(StorageUnavailableError):
        dictionaries.add("names", rules(("a", "b")))
    assert store.objects == {}


def test_what_somebody_changed_in_the_bucket_is_refused_by_name(dictionaries: Dictionaries, store: ListedStore):
    reference = dictionaries.add("names", rules(("a", "b"))).reference
    key = keys.dictionary_rules_key(reference.sha256)
    store.objects[key] = store.objects[key].replace(b'"b"', b'"c"')
    with pytest.raises(MalformedMessageError, match="names"):
        dictionaries.rules(reference)
    del store.objects[key]
    with pytest.raises(MalformedMessageError, match="not there"):
        dictionaries.rules(reference)
    store.objects[keys.dictionary_record_key("names")] = b"{}"
    with pytest.raises(MalformedMessageError, match="names"):
        dictionaries.reference("names")
