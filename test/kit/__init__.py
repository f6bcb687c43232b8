"""What tests share: servers, streams, ways of waiting, and small checks."""
