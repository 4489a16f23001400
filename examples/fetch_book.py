"""Take a whole public-domain book from a package that ships it: `python examples/fetch_book.py out/alice.txt`.

The source archive of the `brotli` package carries "Alice's Adventures in Wonderland" as test data (the Canterbury
corpus). It is fetched by pip, checked by its hash, and not kept in this repository.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "brotli==1.2.1"
MEMBER = "tests/testdata/alice29.txt"
SHA256 = "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0"


def fetch_book(destination: Path) -> None:
    """Write the book to `destination`.

    Raises:
        SystemExit: if the package cannot be fetched or the book in it is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "brotli"]
        command += ["--dest", folder, PACKAGE]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError:
            raise SystemExit(f"pip could not fetch the source archive of {PACKAGE}; see its message above") from None
        archive = next(Path(folder).glob("*.tar.gz"))
        text = _read_member(archive, MEMBER)
    if hashlib.sha256(text).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} in {PACKAGE} is not the book that was expected; nothing was written")
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_bytes(text)


def _read_member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(name):
                stream = tar.extractfile(member)
                assert stream is not None
                return stream.read()
    raise SystemExit(f"{archive.name} holds no {name}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/fetch_book.py FILE")
    fetch_book(Path(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]}\n")
