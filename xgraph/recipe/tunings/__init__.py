"""Fine-tuning: what of a model is trained, and how fast. One file each."""
