"""What `meloctl stats` does."""
