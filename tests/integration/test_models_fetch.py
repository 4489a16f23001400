"""`chatterqueue models` against a server that speaks the hub's protocol, also when that server misbehaves.

Where a process of its own matters (HF_ENDPOINT, HF_HUB_OFFLINE, being killed), the command is one; else it is called.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hubserver import FakeHub
from modelscommand import ModelsCommand
from smallweights import ENGLISH_FILES, MULTILINGUAL_FILES, small_weights, torch_bytes

from producer.contract.exitcode import ExitCode
from producer.contract.narration import ModelName
from worker.models.store import command, fetching
from worker.models.weights import open_model

pytestmark = pytest.mark.integration

COMMIT, LATER_COMMIT = "a" * 40, "b" * 40
ALL_FILES = tuple(dict.fromkeys((*ENGLISH_FILES, *MULTILINGUAL_FILES)))
#: A file that takes several of the client's pieces of 10 MiB, and a place in the second one to cut it.
LARGE, LARGE_BYTES, CUT_BYTES, KEPT_BYTES = "t3_cfg.safetensors", 24 << 20, 15 << 20, 10 << 20
CONVERTED = ("s3gen.pt.safetensors", "ve.pt.safetensors", "conds.pt.safetensors")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub({COMMIT: small_weights(), LATER_COMMIT: small_weights(seed=100)}, {"main": COMMIT}) as server:
        yield server


@pytest.fixture
def models(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> ModelsCommand:
    # huggingface_hub reads HF_ENDPOINT once, when it is imported.
    monkeypatch.setattr(command, "fetch", functools.partial(fetching.fetch, endpoint=hub.endpoint))
    return ModelsCommand(hub, tmp_path / "weights", capsys)


def test_fetch_pins_a_commit_and_locks_every_file(models: ModelsCommand, hub: FakeHub) -> None:
    done = models.process("fetch", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["commit"], result["revision"], result["repo"]) == (COMMIT, "main", "ResembleAI/chatterbox")
    assert result["models"] == ["english", "multilingual"]
    assert models.names() == {*ALL_FILES, *CONVERTED, "models.lock.json"}
    for name, content in hub.commits[COMMIT].items():
        assert models.content(name) == content
    lock = json.loads(models.content("models.lock.json"))
    assert lock["schema_version"] == 1
    assert set(lock["files"]) == set(ALL_FILES)
    assert set(lock["converted"]) == set(CONVERTED)
    # Every file was asked for at the commit, never at the branch.
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.requests if "/resolve/" in path)


def test_a_second_fetch_and_verify_need_no_network(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch")
    hub.stop()
    assert models.ok("fetch")["downloaded"] == []
    assert models.ok("verify")["num_files"] == len(ALL_FILES) + len(CONVERTED)
    assert models.ok("list")["models"] == {"english": True, "multilingual": True}


def test_one_flipped_byte_is_named_and_mended_by_a_fetch(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch", "--model", "english")
    path = models.dir / "s3gen.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused = models("verify")
    assert refused.returncode == ExitCode.CONFIGURATION == 8
    assert "s3gen.safetensors" in refused.stderr
    assert "ve.safetensors" not in refused.stderr
    assert models.ok("fetch", "--model", "english")["downloaded"] == ["s3gen.safetensors"]
    assert path.read_bytes() == good
    models.ok("verify")


def test_a_connection_that_breaks_once_goes_on_by_itself(models: ModelsCommand, hub: FakeHub) -> None:
    hub.commits[COMMIT][LARGE] = bytes(LARGE_BYTES)
    hub.cuts[LARGE] = [CUT_BYTES]
    models.ok("fetch", "--model", "english")
    assert f"bytes={KEPT_BYTES}-" in hub.ranges_of(LARGE)
    assert hub.sent_bytes[LARGE] == CUT_BYTES + LARGE_BYTES - KEPT_BYTES
    assert models.content(LARGE) == bytes(LARGE_BYTES)


def test_a_fetch_that_breaks_for_good_resumes_when_it_is_run_again(models: ModelsCommand, hub: FakeHub) -> None:
    hub.commits[COMMIT][LARGE] = bytes(LARGE_BYTES)
    # Half of it, and then nothing any more, however often it is tried.
    hub.cuts[LARGE] = [CUT_BYTES, *[0] * 50]
    broken = models("fetch", "--model", "english")
    assert broken.returncode == ExitCode.UNAVAILABLE
    assert LARGE in broken.stderr
    assert f"{KEPT_BYTES:,} bytes of it are kept" in broken.stderr
    assert not (models.dir / LARGE).exists()
    assert models("verify").returncode == ExitCode.CONFIGURATION
    hub.cuts.clear()
    hub.branches["main"] = LATER_COMMIT
    result = models.ok("fetch", "--model", "english")
    # The commit that was begun is finished, although the branch has moved on.
    assert result["commit"] == COMMIT
    assert hub.sent_bytes[LARGE] == CUT_BYTES + LARGE_BYTES - KEPT_BYTES
    assert models.content(LARGE) == bytes(LARGE_BYTES)
    assert not (models.dir / ".fetch").exists()


def test_a_killed_fetch_resumes(models: ModelsCommand, hub: FakeHub) -> None:
    hub.commits[COMMIT][LARGE] = bytes(LARGE_BYTES)
    hub.stalls[LARGE] = CUT_BYTES
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.models.weights", "fetch", "--model", "english"],
        env=models.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    part = models.dir / ".fetch" / COMMIT / f"{LARGE}.part"
    wait_until(lambda: part.exists() and part.stat().st_size >= KEPT_BYTES)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.stalls.clear()
    models.ok("fetch", "--model", "english")
    assert f"bytes={KEPT_BYTES}-" in hub.ranges_of(LARGE)
    assert models.content(LARGE) == bytes(LARGE_BYTES)
    assert models.names() == {*ENGLISH_FILES, "conds.pt.safetensors", "models.lock.json"}


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_part_with_wrong_bytes_is_fetched_anew(models: ModelsCommand, hub: FakeHub) -> None:
    name = "t3_cfg.safetensors"
    part = models.dir / ".fetch" / COMMIT / f"{name}.part"
    part.parent.mkdir(parents=True)
    pin = {"repo": "ResembleAI/chatterbox", "revision": "main", "commit": COMMIT}
    (part.parent.parent / "pin.json").write_text(json.dumps(pin))
    part.write_bytes(b"x" * 1000)
    models.ok("fetch", "--model", "english")
    assert models.content(name) == hub.commits[COMMIT][name]
    assert hub.ranges_of(name)[-1] is None


def test_a_server_without_ranges_is_fetched_from_the_start(models: ModelsCommand, hub: FakeHub) -> None:
    name = "t3_cfg.safetensors"
    hub.ignores_ranges = True
    hub.cuts[name] = [5000]
    models.ok("fetch", "--model", "english")
    assert models.content(name) == hub.commits[COMMIT][name]


@pytest.mark.parametrize("name", ["s3gen.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["same length", "shorter", "longer"])
def test_content_that_was_not_announced_is_refused(models: ModelsCommand, hub: FakeHub, name: str, kind: str) -> None:
    content = hub.commits[COMMIT][name]
    flipped = bytes([content[0] ^ 1]) + content[1:]
    hub.swaps[name] = {"same length": flipped, "shorter": content[:-10], "longer": content + b"more"}[kind]
    refused = models("fetch", "--model", "english")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert name in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (models.dir / name).exists()
    assert not (models.dir / "models.lock.json").exists()
    hub.swaps.clear()
    before = dict(hub.sent_bytes)
    models.ok("fetch", "--model", "english")
    assert hub.sent_bytes["t3_cfg.safetensors"] == before["t3_cfg.safetensors"], "the other files were kept"


def test_a_failed_update_leaves_the_old_weights_usable(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch", "--model", "english")
    hub.branches["main"] = LATER_COMMIT
    hub.statuses["ve.safetensors"] = 503
    refused = models("fetch", "--model", "english", "--update")
    assert refused.returncode == ExitCode.UNAVAILABLE
    assert models.ok("verify")["commit"] == COMMIT
    hub.statuses.clear()
    assert models.ok("fetch", "--model", "english", "--update")["commit"] == LATER_COMMIT
    assert models.content("t3_cfg.safetensors") == hub.commits[LATER_COMMIT]["t3_cfg.safetensors"]
    assert models.ok("verify")["commit"] == LATER_COMMIT


def test_the_branch_is_asked_for_only_once(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch", "--model", "english")
    hub.branches["main"] = LATER_COMMIT
    result = models.ok("fetch")
    assert result["commit"] == COMMIT
    assert models.content("s3gen.pt") == hub.commits[COMMIT]["s3gen.pt"]
    assert result["models"] == ["english", "multilingual"]


def test_another_revision_moves_every_model_there(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch")
    result = models.ok("fetch", "--model", "english", "--revision", LATER_COMMIT)
    assert result["models"] == ["english", "multilingual"]
    assert models.content("s3gen.pt") == hub.commits[LATER_COMMIT]["s3gen.pt"]
    # What both commits share was not fetched again.
    assert "conds.pt" not in str(result["downloaded"])


def test_a_crash_between_files_and_lock_is_mended_without_fetching_again(
    models: ModelsCommand, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.ok("fetch", "--model", "english")

    def crash(model_dir: Path, lock: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "write_lock", crash)
        interrupted = models("fetch", "--model", "english", "--revision", LATER_COMMIT)
    assert interrupted.returncode == ExitCode.INTERRUPTED
    assert models("verify").returncode == ExitCode.CONFIGURATION
    before = dict(hub.sent_bytes)
    assert models.ok("fetch", "--model", "english", "--revision", LATER_COMMIT)["commit"] == LATER_COMMIT
    assert hub.sent_bytes == before
    models.ok("verify")


def test_the_token_goes_to_the_hub_and_nowhere_else(models: ModelsCommand, hub: FakeHub) -> None:
    done = models.process("fetch", "--model", "english", HF_TOKEN="hf_canary")
    assert done.returncode == 0, done.stderr
    assert ("Bearer hf_canary") in {header for _, header in hub.authorized}
    assert not [path for path, _ in hub.authorized if path.startswith("/cdn/")]
    assert "hf_canary" not in done.stdout + done.stderr
    assert not [path for path in models.dir.rglob("*") if path.is_file() and b"hf_canary" in path.read_bytes()]


def test_a_quantized_file_survives_a_fetch_only_with_its_source(models: ModelsCommand, hub: FakeHub) -> None:
    models.ok("fetch", "--model", "english")

    def was_there() -> bool:
        files = open_model(models.dir, ModelName.ENGLISH, prequantized_format="f1")
        if files.prequantized is None:
            assert files.cache is not None
            files.cache.store(lambda path: path.write_bytes(b"int8") and None)
        return files.prequantized is not None

    assert [was_there(), was_there()] == [False, True]
    models.ok("fetch")
    assert was_there()
    models.ok("fetch", "--revision", LATER_COMMIT)
    assert list((models.dir / "prequantized").iterdir()) == []
    assert not was_there()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--revision", "nowhere"), ExitCode.CONFIGURATION, "'nowhere'"),
        (("--repo", "someone/else"), ExitCode.CONFIGURATION, "someone/else"),
        (("--repo", "not a repo"), ExitCode.CONFIGURATION, "not a repo"),
        (("--revision", "c" * 40), ExitCode.CONFIGURATION, "t3_cfg.safetensors"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    models: ModelsCommand, arguments: tuple[str, ...], code: ExitCode, words: str
) -> None:
    refused = models("fetch", *arguments)
    assert refused.returncode == code
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("kind", ["down", "offline", "503", "no hub"])
def test_a_hub_that_cannot_be_used_is_named(models: ModelsCommand, hub: FakeHub, kind: str) -> None:
    environment = {}
    if kind == "down":
        hub.stop()
    elif kind == "offline":
        environment["HF_HUB_OFFLINE"] = "1"
    elif kind == "503":
        hub.statuses["t3_cfg.safetensors"] = 503
    else:
        hub.statuses["t3_cfg.safetensors"] = 204
    refused = models.process("fetch", **environment)
    assert refused.returncode == (ExitCode.CONFIGURATION if kind == "no hub" else ExitCode.UNAVAILABLE)
    assert "Traceback" not in refused.stderr
    assert ("HF_HUB_OFFLINE" if kind == "offline" else hub.endpoint) in refused.stderr


def test_a_hostile_file_on_the_hub_is_never_run_and_never_put_in_place(
    models: ModelsCommand, hub: FakeHub, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {canary}",)

    models.ok("fetch")
    hub.commits[LATER_COMMIT]["ve.pt"] = torch_bytes({"w": Runs()})
    refused = models("fetch", "--revision", LATER_COMMIT)
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "ve.pt" in refused.stderr
    assert not canary.exists()
    assert models.ok("verify")["commit"] == COMMIT


def test_a_full_disk_is_found_before_the_first_byte(
    models: ModelsCommand, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = namedtuple("Usage", "total used free")(10, 9, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    refused = models("fetch")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "0.0 MiB free" in refused.stderr
    assert hub.sent_bytes == {}


def test_a_disk_that_fills_up_is_named(models: ModelsCommand, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_up(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_up)
    refused = models("fetch")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "is full; what came so far is kept" in refused.stderr
    monkeypatch.undo()


def test_the_command_line_of_the_producer_hands_over(models: ModelsCommand) -> None:
    code = (
        "import typer; from producer.cli import models;"
        "app = typer.Typer(); app.add_typer(models.group(''), name='models'); app()"
    )
    done = models.python([sys.executable, "-c", code, "models", "list", "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model_dir"] == str(models.dir)


def test_a_start_needs_no_network_at_all(models: ModelsCommand, hub: FakeHub) -> None:
    """Sockets are taken away, not only the server: whoever tried one would be seen."""
    models.ok("fetch")
    hub.stop()
    code = (
        "import socket, sys; from pathlib import Path\n"
        "def refuse(*args): raise AssertionError('a socket was asked for')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from worker.models.weights import load_conditionals, load_state, open_model\n"
        "for model in ('english', 'multilingual'):\n"
        "    files = open_model(Path(sys.argv[1]), model, is_lock_required=True)\n"
        "    for path in (files.t3, files.s3gen, files.voice_encoder): assert load_state(path)\n"
        "    assert load_conditionals(files.conditionals)['t3']['speaker_emb'].shape == (1, 256)\n"
        "assert 'huggingface_hub' not in sys.modules\n"
    )
    done = models.python([sys.executable, "-c", code, str(models.dir)], HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
