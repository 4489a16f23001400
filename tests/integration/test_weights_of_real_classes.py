"""A checkpoint in the real format, locked and converted, fills the package's own classes with the network gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.narration import ModelName
from worker.models.weights import lock_as_is

pytestmark = [pytest.mark.thorough, pytest.mark.integration]

#: Runs without sockets and without torch.load: whoever used one would be seen.
START = """
import socket, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
def refuse(*args, **kwargs): raise AssertionError("a socket or torch.load was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.voice_encoder import VoiceEncoder
from worker.models.weights import load_conditionals, load_state, open_model
torch.load = refuse
torch.set_num_threads(1)
files = open_model(Path(sys.argv[1]), "multilingual", is_lock_required=True)
print(S3Gen().load_state_dict(load_state(files.s3gen)))
print(VoiceEncoder().load_state_dict(load_state(files.voice_encoder)))
voice = load_conditionals(files.conditionals)
assert T3Cond(**voice["t3"]).speaker_emb.shape == (1, 256)
assert voice["gen"]["prompt_feat_len"] is None
"""


def test_real_classes_start_from_the_locked_folder(tmp_path: Path) -> None:
    for path in cached_checkpoint(BOTH).iterdir():
        (tmp_path / path.name).symlink_to(path)
    lock_as_is(tmp_path, (ModelName.MULTILINGUAL,))
    command = [sys.executable, "-c", START, str(tmp_path)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf-home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("All keys matched") == 2
