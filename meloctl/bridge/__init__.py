"""The bridge: from a text and wants to the plans of bars, by a diffusion bridge."""
