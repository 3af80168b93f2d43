"""From a corpus to packs of rows."""
