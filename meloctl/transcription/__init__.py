"""Transcription: from the sound of a recording to notes, and from notes to parts."""
