"""From a corpus to batches of rows."""
