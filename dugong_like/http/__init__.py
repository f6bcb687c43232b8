"""HTTP without I/O: parsing, checking and serialising messages."""
