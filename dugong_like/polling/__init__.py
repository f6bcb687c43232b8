"""What an operation is, and what is made of operations: no sockets, no HTTP."""
