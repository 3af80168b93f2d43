"""Sound that the transcriber is trained on, made on the user's machine: single notes, performances, stems, mixes."""
