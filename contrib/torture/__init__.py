"""Programs that try to break the library, each for as long as one likes."""
