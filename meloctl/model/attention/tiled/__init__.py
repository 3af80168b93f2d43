"""The attention backend for CPUs: tiles of PyTorch's flash kernel, merged by log-sum-exp."""
