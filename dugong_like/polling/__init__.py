"""Operations and everything composed of operations: no sockets, no HTTP."""
