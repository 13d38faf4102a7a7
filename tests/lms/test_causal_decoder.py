from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from nasmith.lms.causal_decoder import CausalDecoder


def test_rows_that_split_and_end_keep_their_own_past_in_a_model_that_is_no_llama(tiny_gpt2: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(str(tiny_gpt2), dtype=torch.float32).eval()
    decoder = CausalDecoder(model)
    decoder.begin([5, 6, 7, 8])
    decoder.step([0, 0], [9, 10])
    logits = decoder.step([1, 1, 0], [11, 12, 13])
    with torch.no_grad():
        lines = torch.tensor([[5, 6, 7, 8, 10, 11], [5, 6, 7, 8, 10, 12], [5, 6, 7, 8, 9, 13]])
        wanted = model(lines).logits[:, -1]
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
