"""A causal language model run by transformers in this process: a folder or hub id, on the CPU unless told otherwise.

Meant for workers, never for a web process: loading takes seconds and memory. torch is imported on first use.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crm.core.llm.backends import Answer, Budget, GeneratorUnavailable, Prompt
from crm.core.llm.schemas import Schema


@lru_cache(maxsize=1)
def _load(path: str) -> tuple[Any, Any]:
    """Return (tokenizer, model), kept for the life of the process."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise GeneratorUnavailable(f"The local model cannot be loaded ({type(error).__name__}); check CRM_GENERATOR_MODEL.") from error
    # Loaded models are in evaluation mode already.
    return tokenizer, model


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """path: folder or cached hub id of a causal language model with safetensors weights."""

    path: str

    def answer(self, prompt: Prompt, *, schema: Schema, budget: Budget) -> Answer:  # noqa: ARG002 - the form is in the prompt
        import torch

        tokenizer, model = _load(self.path)
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(
                [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}], tokenize=False, add_generation_prompt=True
            )
        else:
            text = f"{prompt.system}\n\n{prompt.user}\n\n"
        # The prompt's end (the facts and the form) matters more than its beginning when the window is short.
        room = max(16, _window(model) - budget.tokens)
        encoded = tokenizer(text, return_tensors="pt")
        ids = {name: value[:, -room:] for name, value in encoded.items() if name in {"input_ids", "attention_mask"}}
        with torch.inference_mode():
            output = model.generate(
                **ids,
                max_new_tokens=budget.tokens,
                max_time=float(budget.seconds),
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id or 0,
            )
        fresh = output[0, ids["input_ids"].shape[1] :]
        return Answer(tokenizer.decode(fresh, skip_special_tokens=True), self.path.rstrip("/").rsplit("/", 1)[-1], len(fresh))


def _window(model: Any) -> int:
    """Return how many tokens the model can see."""
    return int(getattr(model.config, "max_position_embeddings", 0) or getattr(model.config, "n_positions", 0) or 2048)
