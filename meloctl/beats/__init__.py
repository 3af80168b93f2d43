"""Beats, bars and tempo of performed notes."""
