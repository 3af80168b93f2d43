"""The report: one HTML page on what was measured, whether it is more than chance, and the mask derived from it."""
