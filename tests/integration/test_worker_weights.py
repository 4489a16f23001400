"""A whole worker and its weights: fetched, the network gone, spoken from; or changed by a byte, and refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubserver import FakeHub
from lockedcheckpoint import flip_a_byte, linked
from modelscommand import ModelsCommand
from narrating import Farm
from small_checkpoint import BOTH, cached_checkpoint
from smallweights import ENGLISH_FILES
from watermarks import watermark_in

from producer.contract.exitcode import ExitCode
from producer.contract.keys import audio_key
from producer.contract.narration import AudioFormat, EngineName, Narration
from producer.contract.settings import Settings
from producer.contract.status import State

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # perth and librosa warn at every turn
]

COMMIT = "a" * 40

#: Seconds for a worker on a busy machine to import torch, hash, load and speak once.
START_S = 200.0


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The English weights as `chatterqueue models fetch` leaves them; the hub they came from is down."""
    folder = tmp_path_factory.mktemp("fetched") / "weights"
    source = cached_checkpoint(BOTH)
    files = {name: (source / name).read_bytes() for name in ENGLISH_FILES}
    with FakeHub({COMMIT: files}, {"main": COMMIT}) as hub:
        done = ModelsCommand(hub, folder).process("fetch", "--model", "english", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["commit"] == COMMIT
    return folder


@pytest.fixture
def no_network() -> dict[str, str]:
    """Variables with which nothing but this machine can be reached, and the hub not at all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    proxies = {name: closed for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())}
    return {**proxies, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "HF_ENDPOINT": closed}


def variables(model_dir: Path, tmp_path: Path, **more: str) -> dict[str, str]:
    # HF_HUB_OFFLINE is not set: whoever asked the hub would fail, and not be spared.
    return {
        "CHATTERQUEUE_MODEL_DIR": str(model_dir),
        "CHATTERQUEUE_DEVICE": "cpu",
        "CHATTERQUEUE_NUM_THREADS": "1",
        "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
        "CHATTERQUEUE_REQUIRE_LOCK": "true",
        "HF_HOME": str(tmp_path / "hf-home"),
        **more,
    }


def test_a_worker_speaks_from_fetched_weights_when_the_network_is_gone(
    fetched: Path, no_network: dict[str, str], settings: Settings, start_worker, tmp_path: Path
) -> None:
    farm = Farm(settings)
    narration = Narration(
        text="The lamp was lit at nine. Nobody came to see it.", engine=EngineName.CHATTERBOX, format="mp3"
    )
    worker = start_worker("chatterbox", {**variables(fetched, tmp_path), **no_network}, is_awaited=False)

    (narration_id,) = farm.submit(narration)
    status = farm.wait(narration_id, START_S)

    assert status.state is State.SUCCEEDED
    audio_path = tmp_path / "audio.mp3"
    audio_path.write_bytes(farm.store.get(audio_key(narration_id, AudioFormat.MP3)))
    assert watermark_in(audio_path) == pytest.approx(1.0, abs=0.05)
    (said,) = [line for line in worker.log().splitlines() if " model_loaded " in line]
    assert "model=english precision=fp32 device=cpu" in said
    assert list((tmp_path / "hf-home").glob("hub/models--*")) == []


def test_a_worker_does_not_start_when_a_byte_of_its_weights_has_changed(
    fetched: Path, start_worker, tmp_path: Path
) -> None:
    folder = linked(fetched, tmp_path / "weights")
    flip_a_byte(folder / "ve.safetensors")

    worker = start_worker("chatterbox", variables(folder, tmp_path), is_awaited=False)

    assert worker.wait(START_S) == ExitCode.CONFIGURATION
    log = worker.log()
    assert "ve.safetensors: was changed" in log
    assert "weights_damaged" in log
    assert "models fetch" in log
