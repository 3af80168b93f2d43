"""The backend for CUDA: FlexAttention."""
