"""The attention backend for CUDA: FlexAttention, compiled."""
