"""The Chatterbox engine on small checkpoints: our real classes and loading code, real file formats, random weights."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from engine_conformance import EngineConformance, segment, speak
from lockedcheckpoint import flip_a_byte, linked, locked_checkpoint, replaced
from numpy.typing import NDArray
from safetensors.numpy import save_file
from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.languages import LANGUAGES
from producer.contract.narration import EngineName, ModelName, Parameters
from worker.engine.chatterboxmaker import ChatterboxMaker
from worker.engine.protocol import Engine
from worker.engine.remote.engineprocess import EngineProcess
from worker.engine.request import Take, VoiceReference
from worker.engine.selection import build_engine
from worker.errors import (
    EngineUnavailableError,
    LanguageUnsupportedError,
    ModelLoadError,
    SegmentUnspeakableError,
    WatermarkError,
    WeightsDamagedError,
    WeightsLockError,
    WorkerStartError,
)
from worker.models import checkpointparts
from worker.models.checkpoint import revision
from worker.settings import WorkerSettings

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn at every turn

RATE_HZ = 24_000


def settings_of(model_dir: Path, **settings: object) -> WorkerSettings:
    return WorkerSettings(
        model_dir=model_dir, **{"device": "cpu", "num_threads": 2, "cache_dir": model_dir, **settings}
    )


def built(model_dir: Path, **settings: object) -> Engine:
    """Return the engine as its own process makes it, but in this one, where a test can look into it."""
    return ChatterboxMaker.of(settings_of(model_dir, **settings)).make()


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


@pytest.fixture
def unlocked(tmp_path: Path) -> Path:
    """A folder with links to the files of both models, to break one of them; it has no lock."""
    return linked(cached_checkpoint(BOTH), tmp_path / "weights")


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """The same with a lock."""
    return linked(locked_checkpoint(), tmp_path / "weights")


@pytest.mark.parametrize("name", ["t3_cfg.safetensors", "s3gen.pt", "conds.pt"])
def test_a_truncated_file_stops_the_worker_before_anything_is_loaded(unlocked: Path, name: str) -> None:
    with (unlocked / name).open("rb") as file:
        start = file.read(5000)
    replaced(unlocked / name).write_bytes(start)
    with pytest.raises(ModelLoadError) as caught:
        build_engine(EngineName.CHATTERBOX, settings_of(unlocked))
    assert f"{unlocked / name} " in str(caught.value)


@pytest.mark.parametrize("verification", ["full", "stamp"])
def test_a_changed_file_stops_the_worker_and_is_named(locked: Path, verification: str) -> None:
    flip_a_byte(locked / "ve.safetensors")
    with pytest.raises(WeightsDamagedError, match=r"ve\.safetensors: was changed"):
        built(locked, verification=verification).load()


def test_a_locked_file_that_is_gone_stops_the_worker_and_is_named(locked: Path) -> None:
    (locked / "s3gen.pt.safetensors").unlink()
    for path in locked.glob("t3_cfg*"):
        path.unlink()
    with pytest.raises(WeightsDamagedError, match=r"t3_cfg\.safetensors: is not there"):
        built(locked).load()


def test_weights_without_a_lock_are_loaded_with_a_warning_or_refused(
    unlocked: Path, caplog: pytest.LogCaptureFixture, engine: Engine
) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    with pytest.raises(WeightsLockError, match="chatterqueue models lock"):
        built(unlocked, require_lock=True).load()
    with caplog.at_level(logging.INFO):
        loaded = built(unlocked)
        loaded.load()
        loaded.close(1)
    (warning,) = [record for record in caplog.records if record.getMessage() == "weights_not_locked"]
    assert "chatterqueue models lock" in warning.remedy
    (said,) = [record for record in caplog.records if record.getMessage() == "model_loaded"]
    assert (said.model, said.precision, said.device) == ("english", "fp32", "cpu")
    # What was spoken before the folder was locked is found again.
    assert loaded._revisions[ModelName.ENGLISH] == revision(locked_checkpoint(), ModelName.ENGLISH)  # type: ignore[attr-defined]


def test_a_whole_file_with_the_wrong_tensors_stops_the_worker(unlocked: Path) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    save_file({"weight": np.zeros(4, np.float32)}, replaced(unlocked / "ve.safetensors"))
    with pytest.raises(ModelLoadError, match=r"ve\.safetensors does not fit VoiceEncoder"):
        built(unlocked).load()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"model": {"type": "BPE", "vocab": {"[STOP]": 0, "[START]": 255, "x": 704}, "merges": []}}', "another model"),
        ('{"model": "none"}', "is no tokenizer of the english model"),
    ],
)
def test_a_tokenizer_that_does_not_fit_stops_the_worker(
    unlocked: Path, content: str, fault: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    replaced(unlocked / "tokenizer.json").write_text(content)
    # It is read last; the parts before it are those of the engine that is there.
    english = engine._speakers[ModelName.ENGLISH].model  # type: ignore[attr-defined]
    for name, part in (("load_t3", english.t3), ("load_s3gen", english.s3gen), ("load_voice_encoder", english.ve)):
        monkeypatch.setattr(checkpointparts, name, lambda *_, part=part, **__: part)
    with pytest.raises(ModelLoadError, match=fault):
        built(unlocked).load()


def test_cuda_that_is_not_there_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(WorkerStartError, match="CHATTERQUEUE_DEVICE"):
        built(locked_checkpoint(), device="cuda").load()


def test_int8_on_a_cpu_stops_the_worker_before_a_file_is_read(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.chatterbox.load_locked", lambda *_, **__: pytest.fail("a file was read"))
    with pytest.raises(ModelLoadError, match="CHATTERQUEUE_PRECISION is int8, which needs an NVIDIA GPU"):
        built(locked, precision="int8").load()


def test_a_watermarker_that_is_silently_missing_stops_the_worker(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perth.PerthImplicitWatermarker", None)
    with pytest.raises(WatermarkError, match="setuptools<81"):
        built(locked).load()


def test_a_watermarker_that_marks_nothing_stops_the_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "worker.engine.s3gen.watermark.Watermark.apply", lambda self, samples: [each.numpy() for each in samples]
    )
    with pytest.raises(WatermarkError, match="not in what the english model speaks"):
        engine.warm_up()


def test_a_stand_in_for_the_watermarker_is_refused() -> None:
    import perth

    from worker.models.watermark import check_watermarker

    with pytest.raises(WatermarkError, match="DummyWatermarker"):
        check_watermarker(perth.DummyWatermarker())
