"""Our own networks: coarse to fine, fully convolutional, one pass over the scan each."""
