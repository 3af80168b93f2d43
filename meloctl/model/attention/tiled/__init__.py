"""The attention backend for CPUs: tiles of PyTorch's flash kernel, merged by log-sum-exp, or of our own in bf16."""
