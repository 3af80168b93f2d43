"""What is done to a finished piece: new notes in it, ranges, keys, sections, piano roll, sound."""
