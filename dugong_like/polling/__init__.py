"""Operations, and everything built from operations alone: no sockets, no HTTP."""
