"""Pretrained decoders of the Llama and Gemma kind, natively; and what they become when their attention is replaced."""
