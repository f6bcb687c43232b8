"""The command line: a user of the library like any other, nothing imports it."""
