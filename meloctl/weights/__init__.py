"""The weights that come with meloctl: files of the package, and where they are found."""
