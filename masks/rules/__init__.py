"""Rules that turn measured similarity, or learned gates, into a mask."""
