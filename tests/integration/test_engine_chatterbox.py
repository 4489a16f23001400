"""The Chatterbox engine on small checkpoints: our real classes and loading code, real file formats, random weights."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from chatterboxengine import built, settings_of
from engine_conformance import EngineConformance, segment, speak
from lockedcheckpoint import locked_checkpoint
from numpy.typing import NDArray

from producer.contract.languages import LANGUAGES
from producer.contract.narration import EngineName, ModelName, Parameters
from worker.engine.protocol import Engine
from worker.engine.remote.engineprocess import EngineProcess
from worker.engine.request import Take, VoiceReference
from worker.engine.selection import build_engine
from worker.errors import (
    EngineUnavailableError,
    LanguageUnsupportedError,
    SegmentUnspeakableError,
)
from worker.models.checkpoint import revision

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn at every turn

RATE_HZ = 24_000


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("a socket or a pickle was asked for")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Both models, loaded and heard without a network, and with nothing unpickled."""
    import torch

    engine = built(locked_checkpoint(), require_lock=True, cache_dir=tmp_path_factory.mktemp("cache"))
    stock_load = torch.load

    def load_of_perth_only(path: object, *args: object, **kwargs: object) -> object:
        # The watermark's own network is a part of the installed package, pinned with it.
        return stock_load(path, *args, **kwargs) if "perth" in Path(str(path)).parts else refuse()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket.connect", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        patch.setattr(torch, "load", load_of_perth_only)
        engine.load()
        engine.warm_up()
    yield engine
    engine.close(30)


def test_both_models_speak_from_locked_files_without_a_network_or_a_pickle(engine: Engine) -> None:
    """The fixture refuses them; the lock names a `.pt` file that is not there any more."""
    assert engine.health().num_finished >= 2
    assert not (locked_checkpoint() / "s3gen.pt").exists()


@pytest.fixture(scope="module")
def english_take(engine: Engine) -> Take:
    return speak(engine, segment())


@pytest.fixture(scope="module")
def german_take(engine: Engine) -> Take:
    return speak(engine, german())


def german(text: str = "Guten Tag.", **fields: object):
    return segment(text, **{"language": "de", "model": ModelName.MULTILINGUAL, **fields})


class TestChatterboxEngine(EngineConformance):
    """English, by the rules for every engine."""


@pytest.fixture(scope="module")
def process_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same models in a process of their own, as a worker has them."""
    cache_dir = tmp_path_factory.mktemp("process-cache")
    engine = build_engine(EngineName.CHATTERBOX, settings_of(locked_checkpoint(), cache_dir=cache_dir))
    engine.load()
    engine.warm_up()
    yield engine
    engine.close(30)


class TestChatterboxInItsProcess(EngineConformance):
    """The engine of a worker."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, process_engine: Engine) -> Engine:
        return process_engine

    def test_it_is_known_by_the_same_name_and_refuses_the_same(self, engine: Engine) -> None:
        own = built(locked_checkpoint())
        assert (engine.sample_rate_hz, engine.is_watermarked) == (own.sample_rate_hz, own.is_watermarked)
        with pytest.raises(LanguageUnsupportedError, match="the english model does not speak 'de'"):
            engine.submit(segment(language="de"))
        with pytest.raises(LanguageUnsupportedError, match=r"Cangjie5_TC\.json"):
            engine.submit(german("你好", language="zh"))
        with pytest.raises(EngineUnavailableError):
            engine.submit(segment(model=ModelName.AUTO))


def test_takes_of_its_process_are_those_of_the_engine_itself(
    process_engine: Engine, english_take: Take, german_take: Take
) -> None:
    assert isinstance(process_engine, EngineProcess)
    for request, own in ((segment(), english_take), (german(), german_take)):
        take = speak(process_engine, request)
        assert take.tokens is not None
        assert np.array_equal(take.tokens, own.tokens)
        # Libraries choose their ways by where memory happens to lie, so two processes may differ by a rounding.
        assert np.allclose(take.pcm, own.pcm, atol=1e-4)


def through_flac(pcm: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")


def through_mp3(pcm: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=RATE_HZ, layout="mono", bit_rate=64_000)
        frame = av.AudioFrame.from_ndarray((pcm * 32_767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")


@pytest.mark.parametrize("through", [through_flac, through_mp3])
@pytest.mark.parametrize("name", ["english_take", "german_take"])
def test_the_watermark_is_still_found_after_encoding(
    name: str, through, request: pytest.FixtureRequest, engine: Engine
) -> None:
    import perth

    from worker.models.watermark import detect_watermark

    take: Take = request.getfixturevalue(name)
    watermarker = perth.PerthImplicitWatermarker()
    assert detect_watermark(watermarker, *through(take.pcm)) > 0.95
    noise = np.random.default_rng(0).normal(0, 0.03, len(take.pcm)).astype(np.float32)
    assert detect_watermark(watermarker, noise, RATE_HZ) < 0.5


def test_multilingual_segments_leave_the_model_as_it_was(engine: Engine, german_take: Take, capfd) -> None:
    t3 = engine._speakers[ModelName.MULTILINGUAL].model.t3  # type: ignore[attr-defined]

    def leftovers() -> tuple[int, str, bool, list[str]]:
        hooks = sum(len(layer.self_attn._forward_hooks) for layer in t3.tfmr.layers)
        config = t3.tfmr.config
        return hooks, config._attn_implementation, config.output_attentions, sorted(t3._modules)

    before = leftovers()
    takes = []
    # The stock end-of-speech check fails with the shortest of them.
    for text, language in [("A", "fr"), ("Guten Tag.", "de")]:
        takes.append(speak(engine, german(text, language=language)))
        assert leftovers() == before
    assert np.array_equal(takes[-1].pcm, german_take.pcm)
    assert capfd.readouterr() == ("", "")


def test_a_multilingual_take_says_where_in_the_text_each_part_of_it_is(german_take: Take, english_take: Take) -> None:
    text = "Guten Tag."
    assert german_take.text_positions is not None
    assert german_take.text_spans is not None
    # Of each 40 ms, one token of the text; start and language stand before the letters, the stop token behind them.
    assert len(german_take.pcm) == len(german_take.text_positions) * RATE_HZ // 25
    assert german_take.text_spans.tolist() == [
        [0, 0], [0, 0], *([place, place + letter.isalpha()] for place, letter in enumerate(text)), [9, 9]
    ]  # fmt: skip
    assert german_take.text_positions[0] == 0
    assert len(set(german_take.text_positions.tolist())) > 2
    assert german_take.text_positions.max() < len(german_take.text_spans)
    assert english_take.text_positions is None


def test_seed_and_parameters_reach_the_model(
    engine: Engine, english_take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    t3 = engine._speakers[ModelName.ENGLISH].model.t3  # type: ignore[attr-defined]
    stock = t3.prepare_conditioning
    # A T3 of one layer is deaf to exaggeration: it is a length, and the layer's norm takes lengths away.
    exaggerations: list[float] = []
    monkeypatch.setattr(
        t3, "prepare_conditioning", lambda cond: exaggerations.append(cond.emotion_adv.item()) or stock(cond)
    )
    other_seed = speak(engine, segment(seed=2, parameters=Parameters(exaggeration=1.5)))
    warmer = speak(engine, segment(parameters=Parameters(temperature=2.0)))
    assert exaggerations == [1.5]  # of 0.5, what T3 makes of the voice is kept from the other takes
    assert not np.array_equal(other_seed.pcm, english_take.pcm)
    assert not np.array_equal(warmer.pcm, english_take.pcm)
    assert not np.array_equal(warmer.pcm, other_seed.pcm)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> VoiceReference:
    from hibari import Hibari

    path = tmp_path_factory.mktemp("voice") / "reference.wav"
    soundfile.write(path, Hibari(threads=1)("This is how I speak.", seed=1)[: 2 * RATE_HZ], RATE_HZ, subtype="PCM_16")
    return VoiceReference(hashlib.sha256(path.read_bytes()).hexdigest(), path)


def test_a_voice_speaks_differently_and_does_not_stay(
    engine: Engine, english_take: Take, voice: VoiceReference
) -> None:
    spoken = speak(engine, segment(voice=voice))
    assert not np.array_equal(spoken.pcm, english_take.pcm)
    assert np.array_equal(speak(engine, segment()).pcm, english_take.pcm)
    assert np.array_equal(speak(engine, segment(voice=voice)).pcm, spoken.pcm)


def test_a_text_that_does_not_fit_is_refused_without_its_content(engine: Engine) -> None:
    with pytest.raises(SegmentUnspeakableError, match="tokens long") as caught:
        speak(engine, segment("secret " * 400))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "  \n", "..."])
def test_an_empty_text_is_refused_and_not_replaced(engine: Engine, text: str) -> None:
    with pytest.raises(SegmentUnspeakableError, match="nothing to speak"):
        speak(engine, segment(text))


def test_the_english_model_refuses_other_languages(engine: Engine) -> None:
    with pytest.raises(LanguageUnsupportedError, match="'de'"):
        engine.submit(segment(language="de"))


def test_chinese_is_refused_while_its_segmenter_is_not_there(engine: Engine) -> None:
    with pytest.raises(LanguageUnsupportedError, match=r"Cangjie5_TC\.json"):
        engine.submit(german("你好", language="zh"))


def test_the_multilingual_model_speaks_the_languages_of_the_contract(engine: Engine) -> None:
    from chatterbox.mtl_tts import SUPPORTED_LANGUAGES

    assert SUPPORTED_LANGUAGES == LANGUAGES
    assert engine._speakers[ModelName.MULTILINGUAL].languages == set(LANGUAGES) - {"zh"}  # type: ignore[attr-defined]


def test_a_model_that_must_still_be_chosen_is_not_there(engine: Engine) -> None:
    with pytest.raises(EngineUnavailableError):
        engine.identity(ModelName.AUTO)
    with pytest.raises(EngineUnavailableError):
        engine.submit(segment(model=ModelName.AUTO))


def test_an_identity_names_the_model_its_content_and_its_precision(engine: Engine) -> None:
    for model in (ModelName.ENGLISH, ModelName.MULTILINGUAL):
        *_, named, content, precision = engine.identity(model).split("/")
        assert (named, precision) == (model.value, "fp32")
        assert content == revision(locked_checkpoint(), model)
