"""What the renderer's stages have in memory at once is bounded by what they are told, not by how long a row is."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import pytest
import torch  # noqa: TID253
from livebytes import peak_bytes
from stockvocoder import stock_fade, stock_vocoder

from worker.engine.s3gen.encoder import Encoder
from worker.engine.s3gen.hift import Hift
from worker.engine.s3gen.watermark import Watermark

#: The packages' own imports warn.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

CPU = torch.device("cpu")
HOP_SAMPLES = 240


def test_what_is_counted_is_what_is_there_at_once() -> None:
    def work() -> torch.Tensor:
        first = torch.zeros(1_000)
        second = first + 1
        del first
        return (second.view(10, 100) * 2)[0]

    assert peak_bytes(work) == 2 * 4_000


@pytest.fixture(scope="module")
def watermarker() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import perth

        return perth.PerthImplicitWatermarker()


def test_a_hop_of_the_watermark_takes_little_where_its_transform_is_not_there(watermarker: Any) -> None:
    """At once 2,048 hops would take 98 kB each."""
    sparing, lavish = (Watermark(watermarker, device=CPU, max_hops=max_hops) for max_hops in (64, 2_048))
    samples = torch.rand(2_040 * HOP_SAMPLES) - 0.5

    assert peak_bytes(lambda: sparing.apply([samples])) < 2_048 * 9_000
    assert peak_bytes(lambda: lavish.apply([samples])) < 2_048 * 50_000


def test_a_frame_of_the_vocoder_takes_little_outside_of_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a GPU the source is one kernel; in plain torch it takes more than all that comes behind it.
    monkeypatch.setattr("worker.engine.s3gen.hift.excite", lambda _, pitch_hz, *__: torch.zeros(480 * pitch_hz.numel()))
    vocoder, mel = stock_vocoder(), torch.zeros(80, 188)

    def peak_with(window_frames: int) -> int:
        hift = Hift(vocoder, stock_fade(), device=CPU, window_frames=window_frames)
        return peak_bytes(lambda: hift.samples([mel], [1]))

    # 64 frames of 192 go through the convolutions at once.
    assert peak_with(16) < 0.55 * peak_with(192)


def test_heads_that_wait_for_their_turn_take_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chatterbox.models.s3gen.transformer.upsample_encoder import UpsampleConformerEncoder
    stock = UpsampleConformerEncoder(
        input_size=512,
        output_size=512,
        attention_heads=8,
        linear_units=256,
        num_blocks=1,
        input_layer="linear",
        pos_enc_layer_type="rel_pos_espnet",
        selfattention_layer_type="rel_selfattn",
        use_cnn_module=False,
        macaron_style=False,
    ).eval()
    tokens, lengths = torch.randn(2, 160, 512), torch.tensor([160, 90])
    at_once, in_turn = (Encoder(stock, device=CPU, dtype=torch.float32, max_scores=most) for most in (10**9, 1))
    with torch.inference_mode():
        torch.testing.assert_close(in_turn(tokens, lengths), at_once(tokens, lengths), rtol=0, atol=1e-5)
        num_scores = 2 * 320 * 639
        fewer_bytes = peak_bytes(lambda: at_once(tokens, lengths)) - peak_bytes(lambda: in_turn(tokens, lengths))

    # Seven heads of eight, the scores by distance at least.
    assert fewer_bytes > 7 * num_scores * 4
