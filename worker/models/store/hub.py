"""Talks to the hub: what a revision's commit is, what its files are, and their bytes, from where we left off.

The protocol is huggingface_hub's (HF_ENDPOINT, HF_TOKEN, redirects, retries). Knows nothing of the lock. Its
`hf_hub_download` is not used: since 1.x it keeps nothing of a download whose process died, and starts at zero.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.errors import ContentMismatchError, HubRefusedError, HubUnavailableError
from worker.models.store.hashing import git_blob_sha1_of, sha256_of

logger = logging.getLogger(__name__)

_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: Seconds for an answer to a small question.
_ANSWER_TIMEOUT_S: Final = 20.0
#: Dropped connections in a row without a new byte, on top of what huggingface_hub retries itself.
_MAX_IDLE_BREAKS: Final = 2


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a commit, as the hub announces it."""

    name: str
    size_bytes: int
    #: SHA-256 of a file in large file storage, or git's SHA-1 of a small one.
    etag: str

    def is_content_of(self, path: Path) -> bool:
        """Return whether a file on disk has the announced content."""
        if path.stat().st_size != self.size_bytes:
            return False
        return (sha256_of(path) if _SHA256.fullmatch(self.etag) else git_blob_sha1_of(path)) == self.etag


class Hub:
    """One repository on the hub."""

    def __init__(self, repo: str, *, endpoint: str | None = None) -> None:
        from huggingface_hub import constants

        self.repo = repo
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")

    def resolve(self, revision: str) -> str:
        """Return the commit that a branch, tag or commit stands for now.

        Raises:
            HubUnavailableError: if the hub does not answer.
            HubRefusedError: if there is no such repository or revision.
        """
        from huggingface_hub import HfApi

        with self._named(f"revision {revision!r}"):
            info = HfApi(endpoint=self.endpoint).model_info(self.repo, revision=revision, timeout=_ANSWER_TIMEOUT_S)
        if not info.sha or not _SHA1.fullmatch(info.sha):
            raise HubRefusedError(f"{self.endpoint} names no commit for {self.repo} at {revision!r}")
        return info.sha

    def describe(self, commit: str, name: str) -> RemoteFile:
        """Return what the hub announces for a file at a commit.

        Raises:
            HubUnavailableError: if the hub does not answer.
            HubRefusedError: if there is no such file, or the answer is about another commit.
        """
        from huggingface_hub import get_hf_file_metadata

        with self._named(name):
            facts = get_hf_file_metadata(self._url(commit, name), timeout=_ANSWER_TIMEOUT_S, endpoint=self.endpoint)
        if facts.commit_hash != commit:
            raise HubRefusedError(f"{self.endpoint} answers for commit {facts.commit_hash}, not {commit}, for {name}")
        is_hash = facts.etag is not None and (_SHA256.fullmatch(facts.etag) or _SHA1.fullmatch(facts.etag))
        if facts.size is None or facts.etag is None or not is_hash:
            raise HubRefusedError(f"{self.endpoint} gives no size and hash for {name}, so it cannot be checked")
        return RemoteFile(name, facts.size, facts.etag)

    def download(self, commit: str, file: RemoteFile, target: Path) -> int:
        """Fetch a file to `target`, continuing `<target>.part` if it is there; return the bytes that were kept.

        `target` appears only after its content was checked against what the hub announced.

        Raises:
            HubUnavailableError: if the connection broke off for good; the part stays for the next time.
            HubRefusedError: if the hub refuses the file.
            ContentMismatchError: if it sent other content, twice or from the start; the part is gone.
            OSError: if it cannot be written.
        """
        part = target.with_name(f"{target.name}.part")
        part.touch()
        if part.stat().st_size > file.size_bytes:
            part.write_bytes(b"")
        kept_bytes = part.stat().st_size
        self._receive(commit, file, part)
        if kept_bytes and not file.is_content_of(part):
            logger.warning("weights_part_discarded", extra={"file": file.name, "kept_bytes": kept_bytes})
            part.write_bytes(b"")
            kept_bytes = 0
            self._receive(commit, file, part)
        if not file.is_content_of(part):
            found_bytes = part.stat().st_size
            part.unlink()
            raise ContentMismatchError(
                f"{file.name}: {self.endpoint} announced {file.size_bytes:,} bytes with the hash {file.etag[:16]}... "
                f"and sent {found_bytes:,} other ones; nothing of it was kept, the other files were: try again later"
            )
        part.replace(target)
        return kept_bytes

    def _receive(self, commit: str, file: RemoteFile, part: Path) -> None:
        """Append to the part until it is whole; go on after a broken connection as long as there is progress."""
        import httpx
        from huggingface_hub import errors
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        # Without it a server may compress, and a range of a compressed file is something else.
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        num_idle_breaks = 0
        with self._named(file.name, part), part.open("r+b") as stream:
            while True:
                before_bytes = stream.seek(0, 2)
                try:
                    http_get(
                        self._url(commit, file.name),
                        stream,
                        resume_size=before_bytes,
                        headers=headers,
                        expected_size=file.size_bytes,
                        displayed_filename=file.name,
                    )
                except errors.HfHubHTTPError:
                    raise
                except OSError as error:
                    # The length is not the announced one: no fault of the connection, the hash decides.
                    if error.errno is None:
                        return
                    raise
                except httpx.NetworkError:
                    num_idle_breaks = num_idle_breaks + 1 if stream.seek(0, 2) == before_bytes else 0
                    if num_idle_breaks > _MAX_IDLE_BREAKS:
                        raise
                else:
                    return
                finally:
                    stream.flush()
                    os.fsync(stream.fileno())

    def _url(self, commit: str, name: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repo, name, revision=commit, endpoint=self.endpoint)

    @contextmanager
    def _named(self, what: str, part: Path | None = None) -> Iterator[None]:
        """Turn the many errors of the client into our two, which say what was kept."""
        import httpx
        from huggingface_hub import errors

        try:
            yield
        except errors.OfflineModeIsEnabled:
            raise HubUnavailableError(f"{what}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it") from None
        except errors.GatedRepoError:
            raise HubRefusedError(f"{what}: {self.repo} is gated; accept its terms and set HF_TOKEN") from None
        except errors.HFValidationError as error:
            raise HubRefusedError(f"{what}: {error}") from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            sentence = f"{what}: {self.endpoint} answered {status} for {self.repo}"
            if status >= 500 or status in {408, 429}:
                raise HubUnavailableError(f"{sentence}; {_kept(part)}try again later") from None
            raise HubRefusedError(f"{sentence}; check the repository, the revision, HF_ENDPOINT and HF_TOKEN") from None
        except (httpx.HTTPError, errors.FileMetadataError) as error:
            reason = str(error) or type(error).__name__
            sentence = f"{what}: {self.endpoint} cannot be reached or broke off ({reason})"
            raise HubUnavailableError(f"{sentence}; {_kept(part)}run the same command again") from None
        except (ValueError, TypeError, KeyError) as error:
            raise HubRefusedError(f"{what}: {self.endpoint} does not answer as a hub does ({error})"[:300]) from None


def _kept(part: Path | None) -> str:
    return f"{part.stat().st_size:,} bytes of it are kept; " if part is not None and part.exists() else ""
