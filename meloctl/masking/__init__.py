"""What `meloctl derive-mask` and `meloctl mask` do."""
