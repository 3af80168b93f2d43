"""What is done to a finished piece: ranges, keys, sections, piano roll, sound."""
