"""Conditionals on disk: what is read is to the bit what was written, or it is not read."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch  # noqa: TID253
from small_checkpoint import ENGLISH, cached_checkpoint

from worker.engine.conditionals import VoiceConditionals
from worker.engine.conditionalsshelf import ConditionalsShelf
from worker.engine.request import VoiceReference
from worker.errors import ModelLoadError
from worker.models.voicetensors import tensors_of, voice_from

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn while they import

ADA, BO = "a" * 64, "b" * 64


def tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    """Return what a voice is made of, with the names and types of the real ones and small shapes."""
    dice = torch.Generator().manual_seed(seed)
    return {
        "t3.speaker_emb": torch.randn(1, 8, generator=dice),
        "t3.cond_prompt_speech_tokens": torch.randint(0, 6_561, (1, 5), generator=dice),
        "t3.emotion_adv": torch.full((1, 1, 1), 0.5),
        "gen.prompt_token": torch.randint(0, 6_561, (1, 5), generator=dice),
        "gen.prompt_token_len": torch.tensor([5]),
        "gen.prompt_feat": torch.randn(1, 10, 80, generator=dice),
        "gen.embedding": torch.randn(1, 8, generator=dice),
    }


def assert_equal(found: dict[str, torch.Tensor] | None, expected: dict[str, torch.Tensor]) -> None:
    assert found is not None
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.fixture
def shelf(tmp_path: Path) -> ConditionalsShelf:
    return ConditionalsShelf(tmp_path / "conditionals", "model/1")


def test_what_is_read_is_what_was_written(shelf: ConditionalsShelf) -> None:
    assert shelf.get(ADA) is None
    shelf.put(ADA, tensors())
    assert_equal(shelf.get(ADA), tensors())
    assert [path.name for path in shelf.path(ADA).parent.iterdir()] == [shelf.path(ADA).name]
    assert shelf.path(ADA).name.startswith(ADA)


def test_another_model_has_files_of_its_own(shelf: ConditionalsShelf, tmp_path: Path) -> None:
    shelf.put(ADA, tensors())
    other = ConditionalsShelf(tmp_path / "conditionals", "model/2")
    assert other.get(ADA) is None
    other.put(ADA, tensors(2))
    assert_equal(shelf.get(ADA), tensors())


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def a_header_without_end(path: Path) -> None:
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])


class _Touching:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Touching(str(path.with_name("unpickled")))))


@pytest.mark.parametrize("damage", [cut_short, emptied, changed, a_header_without_end, a_pickle])
def test_a_damaged_file_is_made_anew(shelf: ConditionalsShelf, damage: Any) -> None:
    shelf.put(ADA, tensors())
    damage(shelf.path(ADA))
    assert shelf.get(ADA) is None
    assert not shelf.path(ADA).with_name("unpickled").exists()
    shelf.put(ADA, tensors())
    assert_equal(shelf.get(ADA), tensors())


def test_the_file_of_another_voice_under_this_ones_name_is_not_taken(shelf: ConditionalsShelf) -> None:
    shelf.put(ADA, tensors(1))
    shelf.put(BO, tensors(2))
    shelf.path(BO).replace(shelf.path(ADA))
    assert shelf.get(ADA) is None


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
def test_a_folder_that_others_can_write_to_is_not_used(shelf: ConditionalsShelf) -> None:
    shelf.put(ADA, tensors())
    folder = shelf.path(ADA).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert shelf.get(ADA) is None
    shelf.put(BO, tensors())
    assert not shelf.path(BO).exists()


def test_the_voice_that_was_not_used_for_longest_goes_when_there_are_too_many(tmp_path: Path) -> None:
    shelf = ConditionalsShelf(tmp_path / "conditionals", "model/1")
    shelf.put(ADA, tensors())
    shelf = ConditionalsShelf(tmp_path / "conditionals", "model/1", max_bytes=2 * shelf.path(ADA).stat().st_size + 100)
    shelf.put(BO, tensors())
    for age, voice in enumerate((ADA, BO)):
        os.utime(shelf.path(voice), (1_000 + age, 1_000 + age))
    shelf.get(ADA)  # used again
    shelf.put("c" * 64, tensors())
    assert [shelf.path(voice).exists() for voice in (ADA, BO, "c" * 64)] == [True, False, True]


def test_what_a_process_left_when_it_was_killed_goes_after_a_while(shelf: ConditionalsShelf) -> None:
    folder = shelf.path(ADA).parent
    folder.mkdir(mode=0o700)
    for name, used_at in (("old", 1_000), ("new", None)):
        left = folder / f".unfinished-{name}.safetensors"
        left.write_bytes(b"half")
        if used_at:
            os.utime(left, (used_at, used_at))
    shelf.put(ADA, tensors())
    assert {path.name for path in folder.iterdir()} == {".unfinished-new.safetensors", shelf.path(ADA).name}


def test_a_disk_that_does_not_take_it_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "conditionals").write_text("a file where the folder should be")
    shelf = ConditionalsShelf(tmp_path / "conditionals", "model/1")
    shelf.put(ADA, tensors())
    assert shelf.get(ADA) is None


def test_many_who_write_the_same_voice_at_once_do_no_harm(tmp_path: Path) -> None:
    shelves = [ConditionalsShelf(tmp_path / "conditionals", "model/1") for _ in range(4)]
    start = threading.Barrier(4)
    wrong: list[str] = []

    def write_and_read(shelf: ConditionalsShelf) -> None:
        start.wait(10)
        for _ in range(5):
            shelf.put(ADA, tensors())
            found = shelf.get(ADA)
            if found is None or not torch.equal(found["gen.embedding"], tensors()["gen.embedding"]):
                wrong.append("torn")

    threads = [threading.Thread(target=write_and_read, args=(shelf,)) for shelf in shelves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(list((tmp_path / "conditionals").iterdir())) == 1


class FakeModel:
    """Makes the same voice of every recording, and counts."""

    conds = None

    def __init__(self) -> None:
        self.num_made = self.num_restored = 0
        self.error: ModelLoadError | None = None

    def prepare_voice(self, path: Path) -> SimpleNamespace:
        self.num_made += 1
        parts: dict[str, dict[str, Any]] = {"t3": {"clap_emb": None}, "gen": {"prompt_feat_len": None}}
        for key, tensor in tensors().items():
            part, _, name = key.partition(".")
            parts[part][name] = tensor
        return SimpleNamespace(t3=SimpleNamespace(**parts["t3"]), gen=parts["gen"])

    def restore_voice(self, found: dict[str, torch.Tensor]) -> SimpleNamespace:
        if self.error:
            raise self.error
        self.num_restored += 1
        return SimpleNamespace(tensors=found)


def voice(tmp_path: Path) -> VoiceReference:
    path = tmp_path / "ada.wav"
    path.touch()
    return VoiceReference(ADA, path)


def test_a_voice_is_made_once_for_all_starts(tmp_path: Path, shelf: ConditionalsShelf) -> None:
    first, second = FakeModel(), FakeModel()
    VoiceConditionals(first, max_voices=1, shelf=shelf).get(voice(tmp_path))
    again = VoiceConditionals(second, max_voices=1, shelf=shelf).get(voice(tmp_path))
    assert (first.num_made, second.num_made, second.num_restored) == (1, 0, 1)
    assert_equal(again.tensors, tensors())


def test_a_voice_that_cannot_be_restored_is_made_anew(tmp_path: Path, shelf: ConditionalsShelf) -> None:
    VoiceConditionals(FakeModel(), max_voices=1, shelf=shelf).get(voice(tmp_path))
    model = FakeModel()
    model.error = ModelLoadError("of another time")
    VoiceConditionals(model, max_voices=1, shelf=shelf).get(voice(tmp_path))
    assert model.num_made == 1


def test_what_is_no_tensor_is_not_kept(tmp_path: Path, shelf: ConditionalsShelf) -> None:
    model = FakeModel()
    made = model.prepare_voice(tmp_path)
    made.gen["prompt_feat_len"] = 3
    with pytest.raises(ModelLoadError, match=r"gen\.prompt_feat_len"):
        tensors_of(made)
    del made.gen["prompt_feat_len"], made.gen["embedding"]
    with pytest.raises(ModelLoadError, match=r"gen\.embedding"):
        tensors_of(made)


def test_a_voice_of_chatterbox_comes_back_as_it_was(shelf: ConditionalsShelf) -> None:
    """With the real classes and the built-in voice of the small checkpoint, as chatterbox-tts stores it."""
    from chatterbox.tts import Conditionals

    from worker.models.checkpointparts import load_voice

    made: Any = load_voice(cached_checkpoint(ENGLISH) / "conds.pt", "cpu", Conditionals)
    shelf.put(ADA, tensors_of(made))
    found = shelf.get(ADA)
    assert found is not None
    restored = voice_from(found, Conditionals)
    assert type(restored) is Conditionals
    assert vars(restored.t3).keys() == vars(made.t3).keys()
    assert restored.gen.keys() == made.gen.keys()
    assert_equal(tensors_of(restored), tensors_of(made))
