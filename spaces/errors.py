"""What all errors have in common that a user can mend."""


class UserError(Exception):
    """Something about the input is wrong; the message is one sentence: where, what was given, what was expected.

    The command line prints it without a traceback. Every subclass also is a built-in exception of the fitting kind.
    """
