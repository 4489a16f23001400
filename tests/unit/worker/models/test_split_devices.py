"""A model whose T3 is on one device and whose other parts are on another: who is sent where, and where voices lie."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from worker.models import checkpointparts, loading
from worker.models.checkpoint import ENGLISH
from worker.models.loading import SafeLoading
from worker.models.speaking import SafeSpeech


class Conditionals:
    """As those of chatterbox-tts, but for what is in them."""

    def __init__(self, device: str) -> None:
        self.made_on = self.device = device

    def to(self, device: str) -> Self:
        self.device = device
        return self


class Stock:
    """Makes voices as chatterbox-tts does: in `conds`, on the device that the model says it has."""

    ENC_COND_LEN = DEC_COND_LEN = 1

    def prepare_conditionals(self, wav_fpath: str, exaggeration: float = 0.5) -> None:
        self.conds = Conditionals(self.device)  # type: ignore[attr-defined]


class Model(SafeSpeech, Stock):
    def __init__(self, device: str, rest_device: str) -> None:
        import threading

        self.t3, self.ve, self.conds, self.device = None, None, None, device
        self.s3gen = SimpleNamespace(device=rest_device)
        self._lock = threading.RLock()


@pytest.mark.parametrize(("device", "rest_device"), [("cuda", "cpu"), ("cpu", "cpu"), ("cuda", "cuda")])
def test_a_voice_is_made_where_s3gen_is_and_lies_where_t3_is(device: str, rest_device: str) -> None:
    model = Model(device, rest_device)
    voice = model.prepare_voice("voice.wav")
    assert (voice.made_on, voice.device) == (rest_device, device)
    assert model.conds is None


@pytest.mark.parametrize(("rest_device", "expected"), [(None, "cuda"), ("cpu", "cpu")])
def test_s3gen_and_the_voice_encoder_are_sent_to_the_other_device(
    monkeypatch: pytest.MonkeyPatch, rest_device: str | None, expected: str
) -> None:
    sent: dict[str, Any] = {}

    class Loader(SafeLoading):
        files = ENGLISH

        def __init__(self, t3: Any, s3gen: Any, ve: Any, tokenizer: Any, device: Any, conds: Any = None) -> None:
            sent["model"] = device

        @classmethod
        def _conditionals_class(cls) -> Any:
            return None

        @classmethod
        def _load_tokenizer(cls, path: Path) -> Any:
            return SimpleNamespace(tokenizer=SimpleNamespace(get_vocab=lambda: {"a": 0}))

    monkeypatch.setattr(loading, "check_watermarker", lambda: None)
    monkeypatch.setattr(loading, "check_model", lambda *_, **__: None)
    t3 = SimpleNamespace(hp=SimpleNamespace(text_tokens_dict_size=704))
    monkeypatch.setattr(checkpointparts, "load_t3", lambda directory, files, device, **_: sent.update(t3=device) or t3)
    for name in ("s3gen", "voice_encoder"):
        monkeypatch.setattr(
            checkpointparts, f"load_{name}", lambda directory, files, device, name=name: sent.update({name: device})
        )
    monkeypatch.setattr(checkpointparts, "load_voice", lambda path, device, kind: sent.update(voice=device))
    Loader.load(Path("weights"), "cuda", rest_device=rest_device)
    assert sent == {
        "t3": "cuda",
        "s3gen": expected,
        "voice_encoder": expected,
        "voice": "cuda",
        "model": "cuda",
    }
