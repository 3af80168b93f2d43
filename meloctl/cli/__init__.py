"""The command line: one file a command group. Parses, calls one library function, prints."""
