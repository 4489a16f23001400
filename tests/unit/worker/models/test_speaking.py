"""The English class on a small checkpoint: the samples of the stock class, and none of its side effects."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_checkpoint
import torch  # noqa: TID253
from lockedcheckpoint import linked
from tiny_t3 import ending_multilingual_t3, tiny_t3

from worker.errors import (
    LanguageUnsupportedError,
    ModelLoadError,
    NoEndOfSpeechError,
    SegmentUnspeakableError,
    SynthesisError,
    WatermarkError,
)

pytestmark = pytest.mark.filterwarnings("default")

TEXT = "Hello there, my friend."


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return small_checkpoint.cached_checkpoint()


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    from worker.models import ChatterboxTTS

    return ChatterboxTTS.from_local(checkpoint, "cpu")


@pytest.fixture(scope="module")
def stock(checkpoint: Path) -> Any:
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
    from chatterbox.tts import ChatterboxTTS

    table = LLAMA_CONFIGS["Llama_520M"]
    depth, table["num_hidden_layers"] = table["num_hidden_layers"], small_checkpoint.NUM_LAYERS["english"]
    try:
        return ChatterboxTTS.from_local(checkpoint, "cpu")
    finally:
        table["num_hidden_layers"] = depth


@pytest.mark.parametrize("parameters", [{}, {"exaggeration": 0.9, "temperature": 1.5}])
def test_samples_are_those_of_the_stock_class(model: Any, stock: Any, parameters: dict[str, float]) -> None:
    torch.manual_seed(4)
    ours = model.generate(TEXT, **parameters)
    torch.manual_seed(4)
    theirs = stock.generate(TEXT, **parameters)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5


def test_multilingual_samples_are_those_of_the_stock_class(model: Any, checkpoint: Path, tmp_path: Path) -> None:
    from chatterbox import mtl_tts

    from worker.models.checkpointparts import load_voice
    from worker.models.multilingual import ChatterboxMultilingualTTS, LocalTokenizer

    path = tmp_path / "graphemes.json"
    small_checkpoint._write_tokenizer(path, ["[fr]"], unk_id=1)
    found = []
    for speaker in (ChatterboxMultilingualTTS, mtl_tts.ChatterboxMultilingualTTS):
        voice = load_voice(checkpoint / "conds.pt", "cpu", mtl_tts.Conditionals)
        parts = (ending_multilingual_t3(), model.s3gen, model.ve, LocalTokenizer(str(path)), "cpu", voice)
        torch.manual_seed(4)
        found.append(speaker(*parts).generate("Bonjour.", "fr", exaggeration=0.9, temperature=1.5))
    assert found[0].shape == found[1].shape
    assert (found[0] - found[1]).abs().max() <= 1e-5


def test_signatures_are_those_of_the_stock_classes_and_one_more() -> None:
    from chatterbox import mtl_tts, tts

    from worker.models import ChatterboxMultilingualTTS, ChatterboxTTS

    for ours, theirs in (
        (ChatterboxTTS, tts.ChatterboxTTS),
        (ChatterboxMultilingualTTS, mtl_tts.ChatterboxMultilingualTTS),
    ):
        assert issubclass(ours, theirs)
        for name in ("generate", "prepare_conditionals", "__init__"):
            expected = inspect.signature(getattr(theirs, name)).parameters
            found = inspect.signature(getattr(ours, name)).parameters
            assert [(p.name, p.default) for p in found.values()] == [(p.name, p.default) for p in expected.values()]
        for name in ("from_local", "from_pretrained"):
            expected_names = [*inspect.signature(getattr(theirs, name)).parameters, "use_bnb_quantization"]
            found = inspect.signature(getattr(ours, name)).parameters
            assert list(found) == expected_names
            assert found["use_bnb_quantization"].default is False


def test_a_call_prints_nothing_and_changes_neither_the_voice_nor_its_numbers(
    model: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(model.conds.gen)
    types = {name: value.dtype for name, value in before.items() if torch.is_tensor(value)}
    emotion = model.conds.t3.emotion_adv.clone()
    capfd.readouterr()
    model.generate(TEXT, exaggeration=1.2)
    assert capfd.readouterr() == ("", "")
    assert all(model.conds.gen[name] is value for name, value in before.items())
    assert {name: value.dtype for name, value in model.conds.gen.items() if torch.is_tensor(value)} == types
    assert types["prompt_token"] == torch.int64
    assert torch.equal(model.conds.t3.emotion_adv, emotion)
    assert model.conds.t3.cond_prompt_speech_emb is None


def test_the_voice_of_one_call_is_not_that_of_the_next(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = model.conds
    other = type(own)(own.t3, dict(own.gen))
    monkeypatch.setattr(model, "prepare_voice", lambda path, exaggeration: other)
    assert model._voice_for("other.wav", 0.5) is other
    assert model.conds is own
    assert model._voice_for(None, 0.5) is own
    monkeypatch.setattr(model, "conds", None)
    with pytest.raises(SegmentUnspeakableError, match="no voice"):
        model.generate(TEXT)


@pytest.mark.parametrize("text", ["", "   ", "...", "!?", "\n"])
def test_a_text_without_anything_to_speak_is_refused(model: Any, text: str) -> None:
    with pytest.raises(SegmentUnspeakableError, match="nothing to speak"):
        model.generate(text)


def test_a_text_that_is_too_long_is_refused(model: Any) -> None:
    with pytest.raises(SegmentUnspeakableError, match="split it"):
        model.generate("word " * 600)


def test_speech_that_does_not_end_is_an_error(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "max_speech_tokens", 5)
    with pytest.raises(NoEndOfSpeechError, match="no end after 5 speech tokens"):
        model.generate(TEXT)


def test_a_seed_gives_the_same_samples_again(model: Any) -> None:
    first = model.speak(TEXT, seed=11)
    torch.randn(7)
    assert torch.equal(model.speak(TEXT, seed=11), first)
    assert not torch.equal(model.speak(TEXT, seed=12)[:, :2000], first[:, :2000])


def test_token_ids_stay_whole_when_the_flow_is_in_half_precision(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.models.vocoder import vocode

    seen: dict[str, Any] = {}

    def look(**arguments: Any) -> Any:
        seen.update(arguments)
        return torch.zeros(1, 80, 8), None

    monkeypatch.setattr(model.s3gen.flow, "inference", look)
    monkeypatch.setattr(type(model.s3gen), "dtype", property(lambda _: torch.bfloat16))
    reference = dict(model.conds.gen)
    vocode(model.s3gen, torch.tensor([4299, 6560]), reference)
    assert seen["token"].tolist() == [[4299, 6560]]
    assert seen["prompt_token"].dtype == torch.int64
    assert torch.equal(seen["prompt_token"], reference["prompt_token"])
    assert seen["embedding"].dtype == torch.bfloat16
    assert reference["embedding"].dtype == torch.float32


@pytest.mark.parametrize("tokens", [[], [6561], [-1, 3]])
def test_tokens_without_a_sound_do_not_reach_the_vocoder(model: Any, tokens: list[int]) -> None:
    from worker.models.vocoder import vocode

    with pytest.raises(SynthesisError):
        vocode(model.s3gen, torch.tensor(tokens, dtype=torch.long), model.conds.gen)


@pytest.fixture
def _int8_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU bitsandbytes rounds to the same layers; only the check for a GPU is left out."""
    from worker.models import loading

    monkeypatch.setattr(loading, "require_int8_support", lambda _device: None)


@pytest.mark.usefixtures("_int8_runs_here")
def test_int8_changes_nothing_outside_t3(model: Any, checkpoint: Path) -> None:
    from worker.models import ChatterboxTTS

    int8 = ChatterboxTTS.load(checkpoint, "cpu", precision="int8")
    assert int8.t3.speech_head.weight.dtype == torch.int8
    for part in ("s3gen", "ve"):
        full, same = getattr(model, part), getattr(int8, part)
        assert [(n, type(m).__name__) for n, m in full.named_modules()] == [
            (n, type(m).__name__) for n, m in same.named_modules()
        ]
        tensors = same.state_dict()  # of 2,490 tensors; made anew for each of them it would take a minute
        assert all(torch.equal(value, tensors[name]) for name, value in full.state_dict().items())


@pytest.mark.usefixtures("_int8_runs_here")
def test_a_start_from_the_int8_file_reads_no_full_weights(
    model: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.models import ChatterboxTTS, checkpointparts

    # What this is about is T3.
    monkeypatch.setattr(checkpointparts, "load_s3gen", lambda *_: model.s3gen)
    folder = linked(checkpoint, tmp_path / "checkpoint")
    first = ChatterboxTTS.from_local(folder, "cpu", use_bnb_quantization=True)
    first.save_int8(folder)
    (folder / "t3_cfg.safetensors").unlink()
    second = ChatterboxTTS.from_local(folder, "cpu", use_bnb_quantization=True)
    assert torch.equal(second.t3.speech_head.weight.data, first.t3.speech_head.weight.data)
    with pytest.raises(ModelLoadError, match=r"t3_cfg\.safetensors missing"):
        ChatterboxTTS.from_local(folder, "cpu")


def test_a_vanished_watermark_stops_the_load(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import perth

    from worker.models import ChatterboxTTS, checkpointparts

    monkeypatch.setattr(perth, "PerthImplicitWatermarker", None)
    monkeypatch.setattr(checkpointparts, "read_tensors", refuse_to_read)
    with pytest.raises(WatermarkError):
        ChatterboxTTS.from_local(checkpoint, "cpu")


def refuse_to_read(path: Path) -> None:
    message = f"{path} was read"
    raise AssertionError(message)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no t3", "t3_cfg.safetensors missing"),
        ("no s3gen", "s3gen.safetensors missing"),
        ("short s3gen", "s3gen.safetensors is cut short"),
        ("other model", "is not the T3 of the english model"),
        ("no folder", "is not a folder"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused_before_a_weight_is_read(
    fault: str, sentence: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    from worker.models import ChatterboxTTS, checkpointparts

    monkeypatch.setattr(checkpointparts, "read_tensors", refuse_to_read)
    folder = tmp_path / "checkpoint"
    if fault != "no folder":
        linked(checkpoint, folder)
    if fault in {"no t3", "other model"}:
        (folder / "t3_cfg.safetensors").unlink()
    if fault == "other model":
        save_file(tiny_t3("multilingual").state_dict(), folder / "t3_cfg.safetensors")
    if fault in {"no s3gen", "short s3gen"}:
        (folder / "s3gen.safetensors").unlink()
    if fault == "short s3gen":
        with (checkpoint / "s3gen.safetensors").open("rb") as whole:
            (folder / "s3gen.safetensors").write_bytes(whole.read(2_000_000))
    with pytest.raises(ModelLoadError, match=sentence):
        ChatterboxTTS.from_local(folder, "cpu")


def test_s3gen_with_missing_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """The stock class loads it and speaks with random weights in their place."""
    from safetensors.torch import load_file, save_file

    from worker.models.checkpoint import ENGLISH
    from worker.models.checkpointparts import load_voice_encoder

    tensors = load_file(checkpoint / "ve.safetensors")
    del tensors["proj.weight"]
    save_file(tensors, tmp_path / "ve.safetensors")
    with pytest.raises(ModelLoadError, match=r"proj\.weight missing"):
        load_voice_encoder(tmp_path, ENGLISH, "cpu")


def test_the_voice_in_a_converted_file_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    from chatterbox.tts import Conditionals

    from worker.models.checkpointparts import load_voice

    shutil.copy(checkpoint / "conds.pt", tmp_path / "conds.pt")
    before = load_voice(tmp_path / "conds.pt", "cpu", Conditionals)
    (tmp_path / "conds.pt").unlink()
    assert (tmp_path / "conds.pt.safetensors").is_file()
    after = load_voice(tmp_path / "conds.pt", "cpu", Conditionals)
    expected = torch.load(checkpoint / "conds.pt", weights_only=True)
    for found in (before, after):
        assert torch.equal(found.t3.speaker_emb, expected["t3"]["speaker_emb"])
        assert found.gen.keys() == expected["gen"].keys()


def test_an_unknown_language_is_refused_and_chinese_without_its_table_too(tmp_path: Path) -> None:
    from worker.models.multilingual import ChatterboxMultilingualTTS, LocalTokenizer

    small_checkpoint._write_tokenizer(tmp_path / "graphemes.json", [f"[{x}]" for x in ("fr", "zh")], unk_id=1)
    speaker = ChatterboxMultilingualTTS.__new__(ChatterboxMultilingualTTS)
    speaker.tokenizer = LocalTokenizer(str(tmp_path / "graphemes.json"))
    with pytest.raises(LanguageUnsupportedError, match="does not speak 'xx'"):
        speaker.generate("Bonjour", "xx")
    with pytest.raises(ValueError, match=r"Cangjie5_TC\.json"):
        speaker.generate("你好", "zh")
