"""The HTML kit of all pages: escaped markup, blocks, charts, one style sheet."""
