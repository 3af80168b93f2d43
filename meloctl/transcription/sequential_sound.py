"""Files of sound that are read from their beginning to their end."""

import soundfile


class SequentialSound(soundfile.SoundFile):
    """soundfile 0.14.0 seeks after each block to where it is; libsndfile then loses what follows in an MP3, of which blocks of
    4,096 frames keep 6 dB of signal over noise. What cannot seek is read in blocks as it is read at once."""

    def seekable(self) -> bool:
        """Never."""
        return False
