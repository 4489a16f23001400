"""Handles on what was submitted: one narration, or a batch of them.

Knows nothing of how narrations are submitted; a handle can be made from an id alone, in any process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from producer.cancellation import cancel
from producer.contract.manifest import Manifest
from producer.contract.status import NarrationStatus, State
from producer.deletion import delete
from producer.redoing import redo
from producer.results import download, presigned_url, read_manifest, read_status
from producer.services import Services
from producer.submission import Submitted
from producer.successor import retry
from producer.waiting import OnProgress, wait_for


class NarrationJob:
    """One narration that was submitted."""

    def __init__(self, services: Services, narration_id: str, *, is_new: bool = True) -> None:
        self._services = services
        #: The narration's id.
        self.id = narration_id
        #: False if its idempotency key was known and nothing was queued again.
        self.is_new = is_new

    @classmethod
    def of(cls, services: Services, submitted: Submitted) -> Self:
        """Return a handle on what was just handed in."""
        return cls(services, submitted.narration_id, is_new=submitted.is_new)

    def __repr__(self) -> str:
        return f"NarrationJob({self.id!r})"

    def status(self) -> NarrationStatus:
        """Return where it stands; see `Client.status`."""
        return read_status(self._services, self.id)

    def wait(self, timeout_s: float | None = None, *, on_progress: OnProgress | None = None) -> NarrationStatus:
        """Return its status when it has ended; see `Client.wait`."""
        return wait_for([self.id], self._services.ledger.read, timeout_s=timeout_s, on_progress=on_progress)[0]

    def download(self, path: str | Path) -> NarrationStatus:
        """Write its audio to a file; see `Client.download`."""
        return download(self._services, self.id, Path(path))

    def url(self, *, expires: int = 3600) -> str:
        """Return a URL for its audio; see `Client.url`."""
        return presigned_url(self._services, self.id, expires_s=expires)

    def manifest(self) -> Manifest:
        """Return its manifest; see `Client.manifest`."""
        return read_manifest(self._services, self.id)

    def cancel(self) -> State:
        """Stop it; see `Client.cancel`."""
        return cancel(self._services, [self.id])[0]

    def retry(self) -> NarrationJob:
        """Take up again what failed of it; see `Client.retry`."""
        return NarrationJob.of(self._services, retry(self._services, self.id))

    def redo(self, segments: Iterable[int] | Mapping[int, str | None]) -> NarrationJob:
        """Speak some of its segments once more; see `Client.redo`."""
        texts = segments if isinstance(segments, Mapping) else dict.fromkeys(segments)
        return NarrationJob.of(self._services, redo(self._services, self.id, texts))

    def delete(self) -> None:
        """Remove it; see `Client.delete`."""
        delete(self._services, self.id)


class Batch(Sequence[NarrationJob]):
    """The narrations of one `submit_many`, in the order in which they were given."""

    def __init__(self, services: Services, batch_id: str, jobs: Sequence[NarrationJob]) -> None:
        self._services = services
        self._jobs = tuple(jobs)
        #: The batch's id.
        self.id = batch_id

    @classmethod
    def of(cls, services: Services, batch_id: str, submitted: Sequence[Submitted]) -> Self:
        """Return a handle on a set that was just handed in."""
        return cls(services, batch_id, [NarrationJob.of(services, each) for each in submitted])

    def __repr__(self) -> str:
        return f"Batch({self.id!r}, {len(self)} narrations)"

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[NarrationJob]:
        return iter(self._jobs)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # one job or, for a slice, several
        return self._jobs[index]

    @property
    def ids(self) -> list[str]:
        """The ids of its narrations."""
        return [job.id for job in self._jobs]

    def statuses(self) -> list[NarrationStatus | None]:
        """Return where each of them stands; None where the record has expired."""
        return self._services.ledger.read(self.ids)

    def wait(self, timeout_s: float | None = None, *, on_progress: OnProgress | None = None) -> list[NarrationStatus]:
        """Return all statuses when the last one has ended; see `Client.wait_all`."""
        return wait_for(self.ids, self._services.ledger.read, timeout_s=timeout_s, on_progress=on_progress)

    def cancel(self) -> None:
        """Stop all that have not ended."""
        cancel(self._services, self.ids)
