from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from producer.contract.narration import EngineName
from worker.engine import selection
from worker.engine.selection import build_engine, choose_engine
from worker.errors import WorkerStartError
from worker.gpus import does_torch_find_cuda
from worker.settings import WorkerSettings


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "t3_cfg.safetensors").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("name", [EngineName.TONE, EngineName.DRAFT, EngineName.CHATTERBOX])
def test_the_engine_that_is_asked_for_is_taken(name: EngineName) -> None:
    chosen, why = choose_engine(WorkerSettings(engine=name))
    assert chosen is name
    assert "CHATTERQUEUE_ENGINE" in why


def test_auto_is_the_draft_voice_without_a_model_folder() -> None:
    chosen, why = choose_engine(WorkerSettings())
    assert chosen is EngineName.DRAFT
    assert "CHATTERQUEUE_MODEL_DIR is not set" in why


def test_auto_is_the_draft_voice_with_a_folder_without_weights(tmp_path: Path) -> None:
    chosen, why = choose_engine(WorkerSettings(model_dir=tmp_path))
    assert chosen is EngineName.DRAFT
    assert "no Chatterbox weights" in why


def test_auto_is_the_draft_voice_when_the_processor_is_asked_for(weights: Path) -> None:
    chosen, why = choose_engine(WorkerSettings(model_dir=weights, device="cpu"))
    assert chosen is EngineName.DRAFT
    assert "CHATTERQUEUE_DEVICE is cpu" in why


@pytest.mark.parametrize(("has_cuda", "expected"), [(True, EngineName.CHATTERBOX), (False, EngineName.DRAFT)])
def test_auto_is_chatterbox_with_weights_and_a_cuda_device(
    weights: Path, has_cuda: bool, expected: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "does_torch_find_cuda", lambda: has_cuda)
    chosen, why = choose_engine(WorkerSettings(model_dir=weights))
    assert chosen is expected
    assert "CUDA device" in why


@pytest.mark.parametrize("name", [EngineName.DRAFT, EngineName.CHATTERBOX])
def test_a_missing_extra_is_named_with_how_to_install_it(name: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "find_spec", lambda module: None)
    extra = {"draft": "draft", "chatterbox": "gpu"}[name]
    with pytest.raises(WorkerStartError, match=rf"pip install 'chatterqueue\[{extra}\]'"):
        build_engine(name, WorkerSettings())


def test_chatterbox_without_weights_says_which_variable_is_missing() -> None:
    with pytest.raises(WorkerStartError, match="CHATTERQUEUE_MODEL_DIR"):
        build_engine(EngineName.CHATTERBOX, WorkerSettings())


def test_auto_is_not_an_engine_to_build() -> None:
    with pytest.raises(WorkerStartError, match="choose_engine"):
        build_engine(EngineName.AUTO, WorkerSettings())


def test_a_paced_test_engine_speaks_one_segment_at_a_time() -> None:
    assert build_engine(EngineName.TONE, WorkerSettings(tone_segment_s=0.05, num_threads=4)).num_slots == 1
    assert build_engine(EngineName.TONE, WorkerSettings(num_threads=4)).num_slots == 4


@pytest.mark.parametrize(("answer", "has_cuda"), [("True", True), ("False", False), ("1 / 0", False)])
def test_torch_is_asked_for_cuda_in_another_process(
    answer: str, has_cuda: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"class cuda:\n    is_available = staticmethod(lambda: {answer})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert does_torch_find_cuda() is has_cuda


def test_choosing_and_building_chatterbox_imports_no_torch_here() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from worker import process\n"
        "from worker.engine import selection\n"
        "from worker.settings import WorkerSettings\n"
        "selection.check_folder = lambda folder: None\n"
        "settings = WorkerSettings(engine='chatterbox', model_dir=Path('/nowhere'))\n"
        "engine = selection.build_engine(selection.choose_engine(settings)[0], settings)\n"
        "print(engine.name.value, sorted({'torch', 'chatterbox', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "chatterbox []"


def test_choosing_and_building_without_weights_imports_neither_torch_nor_the_draft_voice() -> None:
    program = (
        "import sys\n"
        "from worker.engine.selection import *\n"
        "from worker.settings import WorkerSettings\n"
        "settings = WorkerSettings()\n"
        "build_engine(choose_engine(settings)[0], settings)\n"
        "print(sorted({'torch', 'chatterbox', 'hibari', 'onnxruntime'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
