"""The benchmark suite: what each HTTP client costs, side by side, against nginx on loopback."""
