"""What TRL, PEFT, mlx-lm and Axolotl call a setting, for who writes a study after them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["called_here"]

# TRL and transformers' TrainingArguments, PEFT's LoraConfig, the YAML of mlx-lm and Axolotl
_ELSEWHERE = {
    "rank": "lora_r lora_rank r lora_dim",
    "alpha": "lora_alpha scale",
    "dropout": "lora_dropout",
    "target_modules": "lora_target_modules lora_target_linear keys",
    "layers": "num_layers lora_layers layers_to_transform lora_layers_to_transform",
    "learning_rate": "lr",
    "schedule": "lr_scheduler lr_scheduler_type lr_schedule scheduler",
    "warmup_steps": "warmup warmup_ratio",
    "batch_size": "per_device_train_batch_size micro_batch_size train_batch_size",
    "accumulation": "gradient_accumulation_steps grad_accumulation_steps grad_accum",
    "iterations": "iters steps max_steps epochs num_epochs num_train_epochs",
    "optimizer": "optim",
    "clip_norm": "max_grad_norm gradient_clipping grad_clip",
    "validate_every": "eval_steps steps_per_eval eval_every val_every",
    "patience": "early_stopping_patience",
    "max_sequence_tokens": "max_seq_length max_seq_len sequence_len max_length cutoff_len",
    "checkpointing": "gradient_checkpointing grad_checkpoint",
    "base": "model_name_or_path base_model model_name model model_id pretrained",
    "precision": "dtype torch_dtype load_in_4bit load_in_8bit bf16 fp16 quantization",
    "model": "model_name model_id model_name_or_path",
    "base_url": "api_base api_url endpoint url",
    "max_tokens": "max_new_tokens max_completion_tokens max_output_tokens max_length",
    "samples": "n num_samples num_return_sequences num_generations n_samples",
    "seeds": "seed random_seed",
    "problems": "dataset datasets data train_dataset dataset_name",
    "path": "file data_files dataset",
    "text": "question_column prompt_column text_column question",
    "key": "answer_column target_column label target answer",
}
_STEPS = {"epochs", "num_epochs", "num_train_epochs", "warmup_ratio"}


def called_here(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence on an unknown key that is another tool's name for one of
    ``names``: which, and in what unit where that differs; "" where it is none.
    """
    there = set(names)
    for ours, theirs in _ELSEWHERE.items():
        if ours in there and name.lower() in theirs.split():
            unit = ", in steps" if name.lower() in _STEPS else ""
            return f"; that is {ours!r} here{unit}"
    return ""
