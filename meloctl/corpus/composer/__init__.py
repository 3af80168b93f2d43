"""A band that composes pieces whose form is known exactly: planted truth, and a corpus where there is none."""
