"""Brings the weights of some models into a folder: pins a commit, downloads, converts, locks.

Everything is made ready in a staging folder and checked there; the files in use and their lock change at the end, so
that a fetch that breaks half-way leaves what was there as it was, and goes on where it stopped when it is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from producer.contract.narration import ModelName
from worker.errors import WeightsLockError
from worker.models.store.catalog import DEFAULT_REPO, DEFAULT_REVISION, converted_name, files_of_all, is_pickled
from worker.models.store.conversion import CONVERTED_FORMAT
from worker.models.store.hub import Hub, RemoteFile
from worker.models.store.lock import DerivedEntry, FileEntry, Lock, find_lock, guard, write_lock
from worker.models.store.staging import COMMIT, Report, Staging, mib, writing_errors
from worker.models.store.tensors import convert_checked
from worker.models.store.verification import find_problems


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch has done."""

    lock: Lock
    downloaded: tuple[str, ...]
    #: Files that were there already, as they should be.
    kept: tuple[str, ...]


def fetch(
    model_dir: Path,
    models: tuple[ModelName, ...],
    *,
    repo: str = DEFAULT_REPO,
    revision: str | None = None,
    endpoint: str | None = None,
    is_update: bool = False,
    report: Report = lambda line: None,
) -> Fetched:
    """Bring the files of some models into a folder, all of one commit, and lock them.

    A branch is resolved once: the commit in the lock stays until another revision or `is_update` is asked for. With
    everything there and whole, the network is not used.

    Raises:
        HubUnavailableError: if the hub cannot be reached or broke off; run it again, it goes on.
        HubRefusedError: if the hub does not have it or does not give it.
        ContentMismatchError: if the hub sent something else than it announced.
        UnsafeCheckpointError: if a `.pt` file holds more than tensors; nothing was put in place.
        DiskSpaceError: if there is not enough room.
        FetchBusyError: if another process is changing the folder.
        ModelLoadError: if the folder cannot be written to.
    """
    with writing_errors(model_dir):
        model_dir.mkdir(parents=True, exist_ok=True)
        with guard(model_dir):
            return _Fetch(model_dir, Hub(repo, endpoint=endpoint), report).run(models, revision, is_update=is_update)


class _Fetch:
    """One run of `fetch`, while it holds the folder."""

    def __init__(self, model_dir: Path, hub: Hub, report: Report) -> None:
        self._dir = model_dir
        self._hub = hub
        self._report = report
        self._staging = Staging(model_dir)
        self._known = self._find_lock()

    def run(self, models: tuple[ModelName, ...], revision: str | None, *, is_update: bool) -> Fetched:
        """Fetch, convert, put in place."""
        revision = revision or self._usual_revision()
        commit = self._choose_commit(revision, is_update=is_update)
        self._staging.pin(self._hub.repo, revision, commit)
        # What was usable before stays usable, and everything is of one commit.
        before = self._known.complete_models() if self._known else ()
        names = files_of_all(tuple(dict.fromkeys((*models, *before))))
        files, to_fetch = self._plan(commit, names)
        kept = tuple(files)
        for remote in to_fetch:
            self._report(f"fetching {remote.name} ({mib(remote.size_bytes)})")
            if kept_bytes := self._hub.download(commit, remote, self._staging.path(remote.name)):
                self._report(f"{remote.name}: went on after the {kept_bytes:,} bytes that were there")
            files[remote.name] = FileEntry.of(self._staging.path(remote.name))
        converted = {converted_name(name): self._convert(name, files[name]) for name in names if is_pickled(name)}
        lock = self._put_in_place(revision, commit, files, converted)
        return Fetched(lock, tuple(remote.name for remote in to_fetch), kept)

    def _find_lock(self) -> Lock | None:
        try:
            return find_lock(self._dir)
        except WeightsLockError as error:
            self._report(f"{error} (now)")
            return None

    def _usual_revision(self) -> str:
        known = self._known
        return known.revision if known and known.repo == self._hub.repo and known.revision else DEFAULT_REVISION

    def _choose_commit(self, revision: str, *, is_update: bool) -> str:
        """Return the commit that a revision stands for here: a branch is asked for only once."""
        if COMMIT.fullmatch(revision):
            return revision
        known = self._known
        if not is_update:
            if begun := self._staging.begun(self._hub.repo, revision):
                return begun
            if known and known.commit and (known.repo, known.revision) == (self._hub.repo, revision):
                return known.commit
        commit = self._hub.resolve(revision)
        self._report(f"{self._hub.repo} at {revision} is commit {commit}")
        return commit

    def _plan(self, commit: str, names: Sequence[str]) -> tuple[dict[str, FileEntry], list[RemoteFile]]:
        """Return the files that are here as they should be, and those to fetch, for which there is room."""
        files = self._locked_and_good(commit, names)
        to_fetch = []
        for remote in [self._hub.describe(commit, name) for name in names if name not in files]:
            if path := self._has_content(remote):
                files[remote.name] = FileEntry.of(path)
            else:
                to_fetch.append(remote)
        if to_fetch:
            needed_bytes = sum(
                remote.size_bytes * (2 if is_pickled(remote.name) else 1) - self._staging.part_bytes(remote.name)
                for remote in to_fetch
            )
            self._staging.require_space(needed_bytes)
        return files, to_fetch

    def _locked_and_good(self, commit: str, names: Sequence[str]) -> dict[str, FileEntry]:
        """Return the files that are in place and are what the lock of this very commit says."""
        known = self._known
        if known is None or (known.repo, known.commit) != (self._hub.repo, commit):
            return {}
        locked = [name for name in names if name in known.files]
        problems = {problem.file for problem in find_problems(self._dir, known, locked)}
        return {name: known.files[name] for name in locked if name not in problems}

    def _has_content(self, remote: RemoteFile) -> Path | None:
        """Return where a file with the announced content is: in place from another commit, or staged."""
        for path in (self._dir / remote.name, self._staging.path(remote.name)):
            if path.is_file() and remote.is_content_of(path):
                return path
        self._staging.path(remote.name).unlink(missing_ok=True)
        return None

    def _convert(self, name: str, source: FileEntry) -> DerivedEntry:
        """Convert a `.pt` file, unless its copy is there and whole."""
        target_name = converted_name(name)
        known = self._known.converted.get(target_name) if self._known else None
        is_current = known and (known.source_sha256, known.format) == (source.sha256, CONVERTED_FORMAT)
        if self._known and known and is_current and not find_problems(self._dir, self._known, [target_name]):
            return known
        self._report(f"converting {name}")
        target = self._staging.path(target_name)
        convert_checked(self._staging.newest(name), target, source.sha256)
        return DerivedEntry.made_from(name, source.sha256, target, form=CONVERTED_FORMAT)

    def _put_in_place(
        self, revision: str, commit: str, files: dict[str, FileEntry], converted: dict[str, DerivedEntry]
    ) -> Lock:
        """Move what is staged to where it is used, and then say so in the lock."""
        cached, usable = self._prequantized({entry.sha256 for entry in files.values()})
        lock = Lock(
            repo=self._hub.repo,
            revision=revision,
            commit=commit,
            locked_at=datetime.now(UTC),
            files=files,
            converted=converted,
            prequantized=usable,
        )
        for name in (*files, *converted):
            self._staging.put_in_place(name)
        write_lock(self._dir, lock)
        for name in cached.keys() - usable.keys():
            (self._dir / name).unlink(missing_ok=True)
        self._staging.clear()
        return lock

    def _prequantized(self, source_hashes: set[str]) -> tuple[dict[str, DerivedEntry], dict[str, DerivedEntry]]:
        """Return the prequantized files there were, and those of them that still fit what is fetched."""
        if self._known is None:
            return {}, {}
        cached = self._known.prequantized
        problems = {problem.file for problem in find_problems(self._dir, self._known, cached)}
        fitting = {name for name, entry in cached.items() if entry.source_sha256 in source_hashes} - problems
        return cached, {name: cached[name] for name in cached if name in fitting}
