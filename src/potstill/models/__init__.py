"""What training and answering both need: opened bases, tokenizers, adapters, decoders."""
