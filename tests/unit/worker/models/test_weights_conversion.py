"""A `.pt` file becomes the same tensors as torch reads, and a hostile one becomes nothing and runs nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: TID253 - the test compares with torch
from smallweights import small_state, small_voice, torch_bytes

from worker.errors import ModelLoadError, UnsafeCheckpointError, WeightsMissingError
from worker.models.store.conversion import ConversionError, convert, flatten
from worker.models.store.torchfile import RefusedError, read_torch_file
from worker.models.weights import load_conditionals, load_state

NO_HASH = "0" * 64


def assert_equal_tensors(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype, name
            assert found[name].shape == value.shape, name
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value, name


def awkward_state() -> dict[str, torch.Tensor]:
    base = torch.arange(60, dtype=torch.float32).reshape(6, 10)
    state = {
        "transposed": base.t(),
        "slice": base[2:5, 1:9:2],
        "tied": base,
        "tail": base[5],
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.empty(0, 4),
        "flags": torch.tensor([True, False]),
        "column": base[:, 3:4],
        "expanded": base[:1].expand(3, 10),
    }
    for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64):
        state[str(dtype)] = torch.arange(5).to(dtype)
    return state


@pytest.mark.parametrize("state", [small_state(1), awkward_state()], ids=["usual", "awkward"])
def test_state_equals_what_torch_loads(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes(state))
    found = load_state(path)
    assert_equal_tensors(found, torch.load(path, weights_only=True))


def test_a_voice_equals_what_torch_loads_with_its_missing_parts(tmp_path: Path) -> None:
    path = tmp_path / "conds.pt"
    path.write_bytes(torch_bytes(small_voice()))
    found, expected = load_conditionals(path), torch.load(path, weights_only=True)
    assert found.keys() == expected.keys()
    for part in expected:
        assert_equal_tensors(found[part], expected[part])
    assert found["t3"]["clap_emb"] is None


def test_converted_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    source = tmp_path / "conds.pt"
    source.write_bytes(torch_bytes(small_voice()))
    copies = [tmp_path / f"copy{number}.safetensors" for number in range(3)]
    for copy in copies:
        convert(source, copy, source_sha256=NO_HASH)
    assert len({copy.read_bytes() for copy in copies}) == 1


def test_a_folder_may_be_named_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the child, which runs elsewhere, wrote a path that was relative to its parent: every `.pt` was refused."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "ve.pt").write_bytes(torch_bytes(small_state(1)))
    monkeypatch.chdir(tmp_path)
    assert_equal_tensors(load_state(Path("weights/ve.pt")), small_state(1))


def test_the_second_start_reads_the_copy_and_converts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes(small_state(1)))
    load_state(path)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("converted again"))
    monkeypatch.setattr(pickle, "Unpickler", lambda *args: pytest.fail("unpickled"))
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("torch.load"))
    assert_equal_tensors(load_state(path), dict(small_state(1)))


def test_a_changed_source_is_converted_anew(tmp_path: Path) -> None:
    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes(small_state(1)))
    load_state(path)
    path.write_bytes(torch_bytes(small_state(2)))
    assert_equal_tensors(load_state(path), dict(small_state(2)))


def test_a_folder_that_cannot_be_written_to_still_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.models.store import tensors

    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes(small_state(1)))
    real = tensors.convert

    def refuse_beside_the_source(source: Path, target: Path, *, source_sha256: str) -> None:
        if target.parent == source.parent:
            raise PermissionError(13, "Permission denied")
        real(source, target, source_sha256=source_sha256)

    monkeypatch.setattr(tensors, "convert", refuse_beside_the_source)
    assert_equal_tensors(load_state(path), dict(small_state(1)))
    assert [found.name for found in tmp_path.iterdir()] == ["ve.pt"]


def test_the_child_that_reads_has_neither_torch_nor_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.models.store import conversion

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("HF_TOKEN", "canary")
    environment = conversion._child_environment()
    assert "canary" not in environment.values()
    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes(small_state(1)))
    code = (
        "import sys; from pathlib import Path; import worker.models.store.conversion as c;"
        "assert c._main(Path(sys.argv[1]), Path(sys.argv[2]), '') == 0;"
        "assert not {'torch', 'celery', 'boto3'} & set(sys.modules), 'too much was imported'"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Runs:
    """Pickles as a call of `os.system`."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def torch_zip(pickled: bytes, storages: dict[str, bytes] | None = None, *, compression: int = 0) -> bytes:
    """Return a file as torch.save writes it, around a pickle made by hand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/byteorder", "little")
        for key, data in (storages or {}).items():
            file.writestr(f"archive/data/{key}", data)
        file.writestr("archive/version", "3\n")
    return buffer.getvalue()


FLOATS = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
HOOKS = b"ccollections\nOrderedDict\n)R"


def tensor_pickle(size: bytes, stride: bytes, *, offset: bytes = b"K\x00", hooks: bytes = HOOKS) -> bytes:
    """Return the pickle of {"w": tensor} over four floats, with parts of choice."""
    tensor = REBUILD + b"(" + FLOATS + offset + size + stride + b"\x89" + hooks + b"tR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"s."


def hostile_files(canary: Path) -> dict[str, bytes]:
    """Return files that would make `canary` if anything in them ran, or that lie about what they hold."""
    command = f"touch {canary}"
    call = b"cposix\nsystem\n(X" + struct.pack("<I", len(command)) + command.encode() + b"tR"
    data = {"0": struct.pack("<4f", 1, 2, 3, 4)}
    inst = b"(X" + struct.pack("<I", len(command)) + command.encode() + b"iposix\nsystem\n."
    stack_global = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R."
    state = b"}X\x0c\x00\x00\x00__setstate__" + b"cposix\nsystem\nsb"
    square = b"K\x02K\x02\x86"
    return {
        "reduce": torch_bytes({"w": torch.ones(2), "x": Runs(command)}),
        "protocol 4": torch_zip(stack_global),
        "inst": torch_zip(inst),
        "eval": torch_zip(b"cbuiltins\neval\n(X\x01\x00\x00\x001tR."),
        "import of torch": torch_zip(b"ctorch.serialization\nload\n(tR."),
        "attribute path": torch_zip(b"\x80\x04\x8c\x05torch\x8c\x0ehub.os.system\x93."),
        "whole tensor class": torch_zip(b"ctorch\nTensor\n)\x81."),
        "hooks": torch_zip(tensor_pickle(square, b"K\x02K\x01\x86", hooks=call), data),
        "build on the loader": torch_zip(b"\x80\x02" + REBUILD + state + b".", data),
        "build on a storage": torch_zip(b"\x80\x02" + FLOATS + state + b".", data),
        "build on a tensor": torch_zip(tensor_pickle(square, b"K\x02K\x01\x86")[:-2] + state + b"s.", data),
        "too few bytes": torch_zip(tensor_pickle(square, b"K\x02K\x01\x86"), {"0": b"\0" * 12}),
        "no bytes": torch_zip(tensor_pickle(square, b"K\x02K\x01\x86")),
        "reaches beyond": torch_zip(tensor_pickle(square, b"K\x02K\x02\x86"), data),
        "offset beyond": torch_zip(tensor_pickle(square, b"K\x02K\x01\x86", offset=b"K\x01"), data),
        "negative stride": torch_zip(tensor_pickle(square, b"K\x02J\xff\xff\xff\xff\x86"), data),
        "one number a thousand million times": torch_zip(
            tensor_pickle(b"J\x00\xca\x9a\x3bK\x01\x86", b"K\x00K\x00\x86"), data
        ),
        "a dtype instead of a storage": torch_zip(b"\x80\x02" + REBUILD + b"(ctorch\nFloatStorage\nK\x00))\x89}tR."),
        "memo of 1 GiB": torch_zip(b"\x80\x02}r\x00\x00\x00\x04."),
        "string of 4 GiB": torch_zip(b"\x80\x02X\xff\xff\xff\xffa."),
        "path as a key": torch_zip(
            b"\x80\x02" + FLOATS.replace(b"X\x01\x00\x00\x000", b"X\x09\x00\x00\x00../../etc") + b"."
        ),
        "list": torch_zip(b"\x80\x02]."),
        "nothing": torch_zip(b"\x80\x02}."),
        "a dictionary in itself": torch_zip(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."),
        "compressed": torch_zip(b"\x80\x02}.", compression=zipfile.ZIP_DEFLATED),
        "old format": torch_bytes(dict(small_state(1)), _use_new_zipfile_serialization=False),
        "cut short": torch_bytes(small_state(1))[:-200],
        "flipped": flip(torch_bytes(small_state(1)), torch_bytes(small_state(1)).index(b"layer.weight") + 3),
        "empty file": b"",
    }


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize("kind", [kind for kind in hostile_files(Path("canary")) if kind != "memo of 1 GiB"])
def test_hostile_file_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / "ve.pt"
    path.write_bytes(hostile_files(canary)[kind])
    with pytest.raises(RefusedError):
        flatten(read_torch_file(path))
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["reduce", "hooks", "memo of 1 GiB", "cut short"])
def test_loading_a_hostile_file_names_it_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / "ve.pt"
    path.write_bytes(hostile_files(canary)[kind])
    with pytest.raises(UnsafeCheckpointError) as refused:
        load_state(path)
    assert str(path) in str(refused.value)
    assert [found.name for found in tmp_path.iterdir()] == ["ve.pt"]


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The test above can fail: the plain unpickler does run the command."""
    canary = tmp_path / "canary"
    with zipfile.ZipFile(io.BytesIO(hostile_files(canary)["protocol 4"])) as file:
        pickle.loads(file.read("archive/data.pkl"))
    assert canary.exists()


def test_a_sentence_says_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "ve.pt"
    path.write_bytes(torch_bytes({"x": Runs("true")}))
    with pytest.raises(RefusedError, match=r"'posix'\.'system'"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("bytearray(1 << 30)", "MemoryError"),
        ("open('large', 'wb').write(bytes(1 << 26))", "File too large"),
        ("[open('/dev/null') for _ in range(64)]", "Too many open files"),
    ],
    ids=["memory", "output", "files"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these limits")
def test_the_child_has_limits(tmp_path: Path, code: str, words: str) -> None:
    program = f"import worker.models.store.conversion as c\nc._limit_resources(1000)\n{code}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert words in done.stderr or done.returncode == -signal.SIGXFSZ


def test_the_child_is_stopped_by_its_limits(tmp_path: Path) -> None:
    """Not by the reader's own checks, nor by the machine: the memo would take 1 GiB."""
    path = tmp_path / "ve.pt"
    path.write_bytes(hostile_files(tmp_path / "canary")["memo of 1 GiB"])
    with pytest.raises(ConversionError, match="far more memory"):
        convert(path, tmp_path / "out", source_sha256=NO_HASH)


def test_wrong_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ve.pt").write_bytes(torch_bytes(small_voice()))
    (tmp_path / "conds.pt").write_bytes(torch_bytes(small_state(1)))
    with pytest.raises(ModelLoadError, match=r"ve\.pt is no state dict"):
        load_state(tmp_path / "ve.pt")
    with pytest.raises(ModelLoadError, match=r"conds\.pt holds no voice"):
        load_conditionals(tmp_path / "conds.pt")
    with pytest.raises(WeightsMissingError, match=r"s3gen\.pt is missing"):
        load_state(tmp_path / "s3gen.pt")


def test_damaged_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ve.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0" + json.dumps({}).encode())
    with pytest.raises(ModelLoadError, match=r"ve\.safetensors is damaged"):
        load_state(tmp_path / "ve.safetensors")
