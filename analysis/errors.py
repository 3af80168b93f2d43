"""The one exception that means "the user can mend this"."""


class MeloError(Exception):
    """A mistake in what was given, told in one line: what was given, what is allowed, what to do.

    The command line prints the message and exits with status 1; anything else that escapes is a bug.
    """
