"""Text: what words ask of the music, and the vectors of texts that a frozen encoder makes."""
