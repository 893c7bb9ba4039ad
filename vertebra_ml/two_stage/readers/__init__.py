"""What answers, an architecture a module: no training hangs on it."""
