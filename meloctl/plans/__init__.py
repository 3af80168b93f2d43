"""Bar plans of music that exists: measured, kept on disk, and taken from a piece to steer another."""
